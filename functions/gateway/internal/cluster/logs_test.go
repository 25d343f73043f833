package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/stage"
)

// The log of a pod that a controller of an earlier release has made is still read.
func TestFunctionOfPodsOfBeforeAndNow(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"function", "stage"} {
		p := &corev1.Pod{}
		p.Spec.InitContainers = []corev1.Container{{Name: "fetch"}, {Name: want}}
		p.Spec.Containers = []corev1.Container{{Name: "publish"}}
		if got := functionOf(p); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}

// Of a stage that is only completed, the log is that of the attempt before.
func TestWhoseLogIsAStages(t *testing.T) {
	t.Parallel()
	run := &runtimev1.PipelineRun{}
	run.Name = "train-1"
	st := &runtimev1.StageStatus{Name: "train/fit", Job: "train-1-j", Attempt: 3}
	for ran, want := range map[int]string{
		0: "batch.kubernetes.io/job-name=train-1-j," + runtimev1.RunLabel + "=train-1",
		2: stage.AttemptLabel + "=2," + runtimev1.RunLabel + "=train-1," + runtimev1.StageLabel + "=train.fit",
	} {
		if st.RanAttempt = ran; podsOf(run, st) != want {
			t.Errorf("attempt %d: %s", ran, podsOf(run, st))
		}
	}
}
