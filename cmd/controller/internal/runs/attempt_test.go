package runs

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	life "github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/stage"
)

func TestOutcomes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	exit := func(code int32, reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason,
			Message: message, FinishedAt: metav1.NewTime(now.Add(-time.Second))}}
	}
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "because\nof it"}}
	}
	running := func(since time.Duration) corev1.ContainerState {
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now.Add(-since))}}
	}
	ok := exit(0, "Completed", "")
	long := exit(0, "Completed", "")
	long.Terminated.FinishedAt = metav1.NewTime(now.Add(-time.Hour))
	pod := func(fetch, user, publish corev1.ContainerState, mutate ...func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(now.Add(-20 * time.Second))}}
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: stage.FetchContainer, State: fetch},
			{Name: stage.FunctionContainer, State: user, Image: "im/age:1"}}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: stage.PublishContainer, State: publish}}
		for _, s := range []corev1.ContainerState{fetch, user, publish} {
			if s.Terminated != nil && s.Terminated.ExitCode != 0 {
				p.Status.Phase = corev1.PodFailed
			}
		}
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
			j.Status.Conditions = []batchv1.JobCondition{{Type: c, Status: corev1.ConditionTrue,
				Message: "said the Job"}}
		}
		return j
	}
	target := func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
			Message: "for a drain"}}
	}
	deletedSince := func(d time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now.Add(-d)} }
	}
	deleted := deletedSince(0)
	byTaint := func(p *corev1.Pod) {
		target(p)
		p.Status.Conditions[0].Reason = "DeletionByTaintManager"
		p.DeletionTimestamp = &metav1.Time{Time: now.Add(20 * time.Second)}
		p.DeletionGracePeriodSeconds = new(int64(30))
	}
	goesOn := func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }
	says := func(message string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Status.Message = message }
	}
	init := waiting("PodInitializing")
	for name, c := range map[string]struct {
		job        *batchv1.Job
		pod        *corev1.Pod
		state      runtimev1.State
		reason     string
		message    string
		ours, stop bool
	}{
		"no pod yet": {job(""), nil, runtimev1.Running, "", "", false, false},
		"fetching": {job(""), pod(running(0), init, init), runtimev1.Running, "", "", false,
			false},
		"at work": {job(""), pod(ok, running(time.Minute), init), runtimev1.Running, "", "",
			false, false},
		"published, before the Job says": {job(""), pod(ok, ok, exit(0, "Completed", `{"files":2,"bytes":7}`)),
			runtimev1.Succeeded, "", "", false, false},
		"exit 3": {job(""), pod(ok, exit(3, "Error", "Traceback\n  x\nValueError: no rows\n"),
			init), runtimev1.Failed, "Error", "exit code 3: ValueError: no rows", false, false},
		"killed for memory": {job(""), pod(ok, exit(137, "OOMKilled", ""), init), runtimev1.Failed,
			"OOMKilled", "memory than its limit of 1Gi", false, false},
		"an end of which kubelet knows nothing": {job(""), pod(ok, exit(137, "ContainerStatusUnknown", ""), init),
			runtimev1.Failed, "PodLost", "does not know how", true, false},
		"an end of which containerd knows nothing": {job(""), pod(ok, exit(255, "Unknown", ""), init),
			runtimev1.Failed, "PodLost", "does not know how", true, false},
		"no such program": {job(""), pod(ok, exit(128, "StartError", "exec: not found"), init),
			runtimev1.Failed, "NotStarted", "exec: not found", false, false},
		"too long": {job(""), pod(ok, running(time.Hour), init), runtimev1.Failed,
			"DeadlineExceeded", "timeout of 10m0s", false, true},
		"image not there yet": {job(""), pod(ok, waiting("ErrImagePull"), init), runtimev1.Running,
			"ErrImagePull", "because of it", false, false},
		"image never there": {job(""), pod(long, waiting("ImagePullBackOff"), init),
			runtimev1.Failed, "ImagePull", "the image im/age:1 cannot be had", false, true},
		"image not there yet after a long fetch": {job(""),
			pod(ok, waiting("ErrImagePull"), init,
				func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(now.Add(-time.Hour)) }),
			runtimev1.Running, "ErrImagePull", "because of it", false, false},
		"image's name is none": {job(""), pod(ok, waiting("InvalidImageName"), init), runtimev1.Failed,
			"ImagePull", "cannot be had", false, true},
		"our own image not there": {job(""), pod(waiting("InvalidImageName"), init, init), runtimev1.Failed,
			"ImagePull", "", true, true},
		"input missing": {job(""), pod(exit(1, "Error", `{"error":"input table: gone"}`), init, init),
			runtimev1.Failed, "InvalidInput", "input table: gone", false, false},
		"storage away in fetch": {job(""), pod(exit(3, "Error", `{"error":"timeout","retry":true}`), init, init),
			runtimev1.Failed, "StorageError", "timeout", true, false},
		"a link in the outputs": {job(""), pod(ok, ok, exit(1, "Error", `{"error":"output a: b is a link"}`)),
			runtimev1.Failed, "InvalidOutput", "b is a link", false, false},
		"storage away in publish": {job(""), pod(ok, ok, exit(3, "Error", `{"error":"timeout","retry":true}`)),
			runtimev1.Failed, "StorageError", "timeout", true, false},
		"publish killed": {job(""), pod(ok, ok, exit(137, "OOMKilled", "")), runtimev1.Failed,
			"TransferDied", "publish died with exit code 137 (OOMKilled)", true, false},
		"evicted": {job(""), pod(ok, running(0), init, failed("Evicted"), target), runtimev1.Failed,
			"Evicted", "low on disk", true, false},
		"drained": {job(""), pod(ok, exit(143, "Error", "bye"), init, target, deleted),
			runtimev1.Failed, "Evicted", "for a drain", true, false},
		"drained while publishing": {job(""), pod(ok, ok, exit(143, "Error", ""), target, deleted), runtimev1.Failed,
			"Evicted", "for a drain", true, false},
		"drained after its end": {job(""), pod(ok, ok, exit(0, "Completed", ""), target, deleted),
			runtimev1.Succeeded, "", "", false, false},
		"drained, with an exit code of its own": {job(""), pod(ok, exit(1, "Error", "bye"), init, target, deleted),
			runtimev1.Failed, "Evicted", "for a drain", true, false},
		"over its own limit": {job(""), pod(ok, exit(137, "Error", "last line"), init, failed("Evicted"),
			says(`Container function exceeded its local ephemeral storage limit "20Mi". `)), runtimev1.Failed, "Evicted",
			`Container function exceeded its local ephemeral storage limit "20Mi".`, false, false},
		"over a volume's limit": {job(""), pod(ok, exit(137, "Error", "last line"), init, failed("Evicted"),
			says(`Usage of EmptyDir volume "data" exceeds the limit "1Gi". `)), runtimev1.Failed, "Evicted",
			`volume "data" exceeds the limit "1Gi".`, false, false},
		"its node takes no pods": {job(""), pod(init, init, init, failed("Evicted"),
			says("Pod was rejected: The node had condition: [DiskPressure].")), runtimev1.Failed, "PodLost",
			"The node had condition: [DiskPressure].", true, false},
		"killed, and its node has yet to say why": {job(""), pod(ok, exit(137, "Error", "x"), init, goesOn),
			runtimev1.Running, "", "", false, false},
		"killed, and its node never said why": {job(""), pod(long, long, init, goesOn, func(p *corev1.Pod) {
			t := *long.Terminated
			t.ExitCode = 137
			p.Status.InitContainerStatuses[1].State.Terminated = &t
		}), runtimev1.Failed, "Error", "exit code 137", false, false},
		"deleted by somebody": {job(""), pod(ok, exit(143, "Error", "bye"), init, deleted), runtimev1.Failed, "PodLost",
			"its pod was deleted", true, false},
		"too long, and to go": {job(""), pod(ok, running(time.Hour), init, deleted), runtimev1.Failed,
			"DeadlineExceeded", "timeout of 10m0s", false, true},
		"image never there, and to go": {job(""), pod(long, waiting("ImagePullBackOff"), init, deleted),
			runtimev1.Failed, "ImagePull", "the image im/age:1 cannot be had", false, true},
		"on a lost node": {job(""), pod(ok, running(0), init, byTaint), runtimev1.Failed, "PodLost", "its node", true,
			true},
		"on a node that says no more": {job(""), pod(ok, running(0), init, deletedSince(11*time.Second)),
			runtimev1.Failed, "PodLost", "its node", true, true},
		"on a lost node, after its end": {job(""), pod(ok, ok, exit(0, "Completed", ""), byTaint), runtimev1.Succeeded,
			"", "", false, false},
		"pod's deadline": {job(""), pod(ok, running(0), init, failed("DeadlineExceeded")), runtimev1.Failed,
			"DeadlineExceeded", "", false, false},
		"node lost": {job(batchv1.JobFailed), nil, runtimev1.Failed, "PodLost", "said the Job", true,
			false},
		"pod deleted, Job goes on": {job(""), pod(ok, running(0), init, deleted), runtimev1.Running, "", "", false,
			false},
		"pod deleted, Job failed": {job(batchv1.JobFailed), pod(ok, running(0), init, deleted), runtimev1.Failed,
			"PodLost", "", true, false},
		"Job gone":                  {nil, nil, runtimev1.Failed, "PodLost", "its Job has gone", true, false},
		"Job complete, pod removed": {job(batchv1.JobComplete), nil, runtimev1.Succeeded, "", "", false, false},
	} {
		st, actions := stepped(t, c.job, c.pod, now)
		stop := slices.ContainsFunc(actions, func(a life.Action) bool { _, ok := a.(life.StopAttempt); return ok })
		state, message := st.State, st.Message
		if state == runtimev1.Pending { // it is tried again, for which it has no retries of its own
			state, message = runtimev1.Failed, strings.TrimPrefix(message, "attempt 1 failed: ")
		}
		if state != c.state || st.Reason != c.reason || !strings.Contains(message, c.message) ||
			(st.State == runtimev1.Pending) != c.ours || stop != c.stop {
			t.Errorf("%s: %s %s %q, stop %v", name, st.State, st.Reason, st.Message, stop)
		}
		if state.Done() && st.CompletionTime == nil {
			t.Errorf("%s: no end", name)
		}
	}
}

// stepped is a running stage without retries after a step that saw this Job and this pod of it, and at
// its end after the next.
func stepped(t *testing.T, job *batchv1.Job, pod *corev1.Pod, now time.Time) (runtimev1.StageStatus, []life.Action) {
	t.Helper()
	st := runtimev1.StageStatus{
		Name: "s", State: runtimev1.Running, Attempt: 1, Job: "s-1",
		StartTime: &metav1.MicroTime{Time: now.Add(-time.Hour)},
		Spec:      runtimev1.Stage{TimeoutSeconds: 600},
	}
	st.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
	other := runtimev1.StageStatus{Name: "other", State: runtimev1.Pending, Needs: []string{"s"}}
	o := &runtimev1.PipelineRun{Status: runtimev1.PipelineRunStatus{State: runtimev1.Running,
		Stages: []runtimev1.StageStatus{st, other}}}
	seen := life.Seen{
		Settings: life.Settings{ImagePull: time.Minute, Grace: time.Minute, Patience: time.Hour},
		Attempts: map[string]life.Attempt{"s-1": readAttempt(job, pod)},
		Commits:  map[string]life.Commit{"s": life.NoCommit},
	}
	s, actions := life.Step(o, seen, now)
	if o.Status = s; len(life.WantsFences(o, seen, now)) > 0 { // it is at its end
		seen.Fences = seen.Commits
		var more []life.Action
		s, more = life.Step(o, seen, now)
		actions = append(actions, more...)
	}
	return s.Stages[0], actions
}

// A stage says what it likes in its last words; only publish's exit counts as success.
func TestOutcomesBelieveNoWords(t *testing.T) {
	t.Parallel()
	p := &corev1.Pod{}
	p.Status.InitContainerStatuses = []corev1.ContainerStatus{{
		Name: stage.FunctionContainer,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1,
			Message: `{"files":5,"bytes":1}`}},
	}}
	if st, _ := stepped(t, &batchv1.Job{}, p, time.Now()); st.State != runtimev1.Failed || st.Files != 0 {
		t.Errorf("%+v", st)
	}
}

// A pod that a controller of an earlier release has made, with another name of the user's
// container, ends as one of now.
func TestOutcomesOfPodsOfBefore(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]corev1.ContainerState{
		"it failed":     {Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}},
		"no image":      {Waiting: &corev1.ContainerStateWaiting{Reason: "InvalidImageName", Message: "no such image"}},
		"still at work": {Running: &corev1.ContainerStateRunning{}},
	} {
		of := func(container string) string {
			p := &corev1.Pod{}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: container, State: user}}
			st, actions := stepped(t, &batchv1.Job{}, p, time.Time{})
			return fmt.Sprint(st.State, st.Reason, st.Message, len(actions))
		}
		if before, now := of("stage"), of(stage.FunctionContainer); before != now {
			t.Errorf("%s: %s before, %s now", name, before, now)
		}
	}
}

// What publish says that it has waited for storage, its stage has waited.
func TestOutcomesCountWaiting(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for seconds, want := range map[int]runtimev1.State{60: runtimev1.Pending, 3600: runtimev1.Failed} {
		p := &corev1.Pod{}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: stage.PublishContainer,
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3,
				Message: fmt.Sprintf(`{"error":"timeout","retry":true,"waitedSeconds":%d}`, seconds)}},
		}}
		st, _ := stepped(t, &batchv1.Job{}, p, now)
		if st.State != want || st.WaitingSince != nil && now.Sub(st.WaitingSince.Time) != time.Minute {
			t.Errorf("after %d s: %+v", seconds, st)
		}
	}
}
