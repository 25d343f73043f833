package cluster

import (
	"context"
	"io"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/gateway/service"
)

// podsOf selects the pods of the attempt whose log is a stage's.
func podsOf(run *runtimev1.PipelineRun, st *runtimev1.StageStatus) string {
	if st.RanAttempt == 0 {
		return batchv1.JobNameLabel + "=" + st.Job + "," + runtimev1.RunLabel + "=" + run.Name
	}
	return labels.Set{ // its present Job only completes what that one has left
		runtimev1.RunLabel: run.Name, runtimev1.StageLabel: strings.ReplaceAll(st.Name, "/", "."),
		stage.AttemptLabel: strconv.Itoa(st.RanAttempt),
	}.String()
}

// Log streams the log of the pod of a stage's attempt: the present one, or the last in which the
// user's container may have run.
func (s *Store) Log(
	ctx context.Context, run *runtimev1.PipelineRun, st *runtimev1.StageStatus, follow bool,
) (io.ReadCloser, error) {
	pods, err := s.pods.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{
		LabelSelector: podsOf(run, st), Limit: 1,
	})
	if err != nil {
		return nil, err
	}
	if len(pods.Items) == 0 {
		return nil, service.ErrNoLog
	}
	pod := &pods.Items[0]
	if follow {
		s.awaitFunction(ctx, pod.Name)
	}
	log, err := s.pods.CoreV1().Pods(s.namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: functionOf(pod), Follow: follow,
	}).Stream(ctx)
	switch {
	case err == nil:
		return log, nil
	case !st.State.Done():
		return nil, service.ErrNotBegun
	}
	return nil, service.ErrNoLog
}

// functionOf is the name of the user's container in a stage's pod.
func functionOf(pod *corev1.Pod) string {
	for _, c := range pod.Spec.InitContainers {
		if stage.IsFunction(c.Name) {
			return c.Name
		}
	}
	return stage.FunctionContainer
}

// awaitFunction waits until the user's container has begun or the pod has ended.
func (s *Store) awaitFunction(ctx context.Context, pod string) {
	began := func(p *corev1.Pod) bool {
		for _, c := range p.Status.InitContainerStatuses {
			if stage.IsFunction(c.Name) && (c.State.Running != nil || c.State.Terminated != nil) {
				return true
			}
		}
		return p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded || p.DeletionTimestamp != nil
	}
	changes, err := s.pods.CoreV1().Pods(s.namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", pod).String(),
	})
	if err != nil {
		return
	}
	defer changes.Stop()
	for e := range changes.ResultChan() {
		if p, ok := e.Object.(*corev1.Pod); !ok || began(p) || e.Type == watch.Deleted {
			return
		}
	}
}
