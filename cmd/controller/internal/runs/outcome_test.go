package runs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/stage"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	exit := func(code int32, reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, Message: message, FinishedAt: metav1.NewTime(now.Add(-time.Second))}}
	}
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "because\nof it"}}
	}
	running := func(since time.Duration) corev1.ContainerState {
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now.Add(-since))}}
	}
	ok := exit(0, "Completed", "")
	pod := func(fetch, user, publish corev1.ContainerState, mutate ...func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(now.Add(-20 * time.Second))}}
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: stage.FetchContainer, State: fetch}, {Name: stage.FunctionContainer, State: user, Image: "im/age:1"}}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: stage.PublishContainer, State: publish}}
		for _, m := range mutate {
			m(p)
		}
		return p
	}
	failed := func(reason string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, reason, "low on disk"
		}
	}
	job := func(c batchv1.JobConditionType) *batchv1.Job {
		j := &batchv1.Job{}
		if c != "" {
			j.Status.Conditions = []batchv1.JobCondition{{Type: c, Status: corev1.ConditionTrue, Message: "said the Job"}}
		}
		return j
	}
	deleted := func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} }
	init := waiting("PodInitializing")
	for name, c := range map[string]struct {
		job        *batchv1.Job
		pod        *corev1.Pod
		state      runtimev1.State
		reason     string
		message    string
		ours, stop bool
	}{
		"no pod yet":                     {job(""), nil, runtimev1.Running, "", "", false, false},
		"fetching":                       {job(""), pod(running(0), init, init), runtimev1.Running, "", "", false, false},
		"at work":                        {job(""), pod(ok, running(time.Minute), init), runtimev1.Running, "", "", false, false},
		"published, before the Job says": {job(""), pod(ok, ok, exit(0, "Completed", `{"files":2,"bytes":7}`)), runtimev1.Succeeded, "", "", false, false},
		"exit 3":                         {job(""), pod(ok, exit(3, "Error", "Traceback\n  x\nValueError: no rows\n"), init), runtimev1.Failed, "Error", "exit code 3: ValueError: no rows", false, false},
		"killed for memory":              {job(""), pod(ok, exit(137, "OOMKilled", ""), init), runtimev1.Failed, "OOMKilled", "memory than its limit of 1Gi", false, false},
		"no such program":                {job(""), pod(ok, exit(128, "StartError", "exec: not found"), init), runtimev1.Failed, "NotStarted", "exec: not found", false, false},
		"too long":                       {job(""), pod(ok, running(time.Hour), init), runtimev1.Failed, "DeadlineExceeded", "timeout of 10m0s", false, true},
		"image not there yet":            {job(""), pod(ok, waiting("ErrImagePull"), init), runtimev1.Running, "ErrImagePull", "because of it", false, false},
		"image never there": {job(""), pod(ok, waiting("ImagePullBackOff"), init, func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(now.Add(-time.Hour)) }),
			runtimev1.Failed, "ImagePull", "the image im/age:1 cannot be had", false, true},
		"image's name is none":      {job(""), pod(ok, waiting("InvalidImageName"), init), runtimev1.Failed, "ImagePull", "cannot be had", false, true},
		"our own image not there":   {job(""), pod(waiting("InvalidImageName"), init, init), runtimev1.Failed, "ImagePull", "", true, true},
		"input missing":             {job(""), pod(exit(1, "Error", `{"error":"input table: gone"}`), init, init), runtimev1.Failed, "InvalidInput", "input table: gone", false, false},
		"storage away in fetch":     {job(""), pod(exit(3, "Error", `{"error":"timeout","retry":true}`), init, init), runtimev1.Failed, "StorageError", "timeout", true, false},
		"a link in the outputs":     {job(""), pod(ok, ok, exit(1, "Error", `{"error":"output a: b is a link"}`)), runtimev1.Failed, "InvalidOutput", "b is a link", false, false},
		"storage away in publish":   {job(""), pod(ok, ok, exit(3, "Error", `{"error":"timeout","retry":true}`)), runtimev1.Failed, "StorageError", "timeout", true, false},
		"publish killed":            {job(""), pod(ok, ok, exit(137, "OOMKilled", "")), runtimev1.Failed, "StorageError", "exit code 137", true, false},
		"evicted":                   {job(""), pod(ok, running(0), init, failed("Evicted")), runtimev1.Failed, "Evicted", "low on disk", true, false},
		"pod's deadline":            {job(""), pod(ok, running(0), init, failed("DeadlineExceeded")), runtimev1.Failed, "DeadlineExceeded", "", false, false},
		"node lost":                 {job(batchv1.JobFailed), nil, runtimev1.Failed, "PodLost", "said the Job", true, false},
		"pod deleted, Job goes on":  {job(""), pod(ok, running(0), init, deleted), runtimev1.Running, "", "", false, false},
		"pod deleted, Job failed":   {job(batchv1.JobFailed), pod(ok, running(0), init, deleted), runtimev1.Failed, "PodLost", "", true, false},
		"Job gone":                  {nil, nil, runtimev1.Failed, "PodLost", "its Job has gone", true, false},
		"Job complete, pod removed": {job(batchv1.JobComplete), nil, runtimev1.Succeeded, "", "", false, false},
	} {
		st := &runtimev1.StageStatus{Spec: runtimev1.Stage{TimeoutSeconds: 600}}
		st.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
		o := judge(st, c.job, c.pod, deadlines{imagePull: time.Minute}, now)
		if o.state != c.state || o.reason != c.reason || !strings.Contains(o.message, c.message) || o.ours != c.ours || o.stop != c.stop {
			t.Errorf("%s: %s %s %q, ours %v, stop %v", name, o.state, o.reason, o.message, o.ours, o.stop)
		}
		if o.state.Done() && o.ended.IsZero() {
			t.Errorf("%s: no end", name)
		}
	}
}

// A stage says what it likes in its last words; only publish's exit counts as success.
func TestJudgeBelievesNoWords(t *testing.T) {
	t.Parallel()
	p := &corev1.Pod{}
	p.Status.InitContainerStatuses = []corev1.ContainerStatus{{
		Name:  stage.FunctionContainer,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: `{"files":5,"bytes":1}`}},
	}}
	if o := judge(&runtimev1.StageStatus{}, &batchv1.Job{}, p, deadlines{}, time.Now()); o.state != runtimev1.Failed || o.result.Files != 0 {
		t.Errorf("%+v", o)
	}
}

// A pod that a controller of an earlier release has made, with another name of the user's container, ends as one of now.
func TestJudgePodsOfBefore(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]corev1.ContainerState{
		"it failed":     {Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}},
		"no image":      {Waiting: &corev1.ContainerStateWaiting{Reason: "InvalidImageName", Message: "no such image"}},
		"still at work": {Running: &corev1.ContainerStateRunning{}},
	} {
		of := func(container string) string {
			p := &corev1.Pod{}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: container, State: user}}
			o := judge(&runtimev1.StageStatus{}, &batchv1.Job{}, p, deadlines{}, time.Time{})
			return fmt.Sprint(o.state, o.reason, o.message, o.ours, o.stop)
		}
		if before, now := of("stage"), of(stage.FunctionContainer); before != now {
			t.Errorf("%s: %s before, %s now", name, before, now)
		}
	}
}
