package runs

import (
	"encoding/json"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/unip-knative/unip/eventing/printable"
	life "github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/stage"
)

// readAttempt says in run's words what the Job and the pod of an attempt say; either may be nil. It
// takes the newest truth: publish's exit in the pod's status is seconds ahead of the Job's
// condition.
func readAttempt(job *batchv1.Job, pod *corev1.Pod) life.Attempt {
	a := readPhase(job, pod)
	switch {
	case job != nil:
		a.Made = job.CreationTimestamp.Time
	case pod != nil:
		a.Made = pod.CreationTimestamp.Time
	}
	return a
}

func readPhase(job *batchv1.Job, pod *corev1.Pod) life.Attempt {
	if pod != nil {
		if a, ok := readPod(pod); ok {
			return a
		}
	}
	switch {
	case job == nil:
		return life.Attempt{Message: "its Job has gone"}
	case hasCondition(job, batchv1.JobFailed):
		gone := "its pod has gone: " + conditionMessage(job, batchv1.JobFailed)
		return life.Attempt{Phase: life.Ended, Part: life.Pod, Cause: life.Lost, Message: gone}
	case hasCondition(job, batchv1.JobComplete):
		// the pod was removed early; its exit is what the Job says
		return life.Attempt{Phase: life.Ended, Part: life.Publish}
	}
	if pod != nil { // it was to go, and may never do so: its node is lost
		if user := functionStatus(pod); working(user) {
			return atWork(user)
		}
	}
	return life.Attempt{Phase: life.Made}
}

func atWork(user *corev1.ContainerStatus) life.Attempt {
	return life.Attempt{Phase: life.Working, Part: life.Function, Since: user.State.Running.StartedAt.Time}
}

// readPod reports false when the pod says nothing final and is about to go.
func readPod(pod *corev1.Pod) (life.Attempt, bool) {
	fetch := status(pod.Status.InitContainerStatuses, stage.FetchContainer)
	user := functionStatus(pod)
	publish := status(pod.Status.ContainerStatuses, stage.PublishContainer)
	if t := terminated(publish); t != nil {
		return disrupted(transferred(life.Publish, t), pod), true
	}
	if pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != "" {
		return disrupted(failedPod(pod), pod), true // whatever its containers then ended with
	}
	if t := terminated(user); t != nil && t.ExitCode != 0 {
		return disrupted(exited(t), pod), true
	}
	if t := terminated(fetch); t != nil && t.ExitCode != 0 {
		return disrupted(transferred(life.Fetch, t), pod), true
	}
	if pod.Status.Phase == corev1.PodFailed {
		return disrupted(failedPod(pod), pod), true
	}
	if pod.DeletionTimestamp != nil {
		return life.Attempt{}, false
	}
	for _, c := range []struct {
		part   life.Part
		status *corev1.ContainerStatus
		before *corev1.ContainerStatus
	}{{life.Fetch, fetch, nil}, {life.Function, user, fetch}, {life.Publish, publish, user}} {
		if a, ok := blocked(c.part, c.status, c.before, pod); ok {
			return a, true
		}
	}
	switch {
	case working(user):
		return atWork(user), true
	case working(fetch):
		return life.Attempt{Phase: life.Fetching, Part: life.Fetch, Since: fetch.State.Running.StartedAt.Time}, true
	case working(publish):
		return life.Attempt{Phase: life.Publishing, Part: life.Publish, Since: publish.State.Running.StartedAt.Time},
			true
	}
	if c := podCondition(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse {
		return life.Attempt{Phase: life.Unplaced, Reason: c.Reason, Message: oneLine(c.Message)}, true
	}
	return life.Attempt{Phase: life.Made}, true
}

func working(c *corev1.ContainerStatus) bool { return c != nil && c.State.Running != nil }

// disrupted says of an end whether it came over the pod for the sake of others: by a drain,
// preemption, or for want of something on its node.
func disrupted(a life.Attempt, pod *corev1.Pod) life.Attempt {
	c := podCondition(pod, corev1.DisruptionTarget)
	if c == nil || c.Status != corev1.ConditionTrue || a.Part == life.Publish && a.Cause == life.Exited &&
		a.ExitCode == 0 {
		return a
	}
	a.Disrupted, a.Reason, a.Message = true, oneLine(c.Reason), oneLine(c.Message)
	if pod.Status.Message != "" {
		a.Message = oneLine(pod.Status.Message)
	}
	return a
}

// transferred is the end of fetch or publish.
func transferred(part life.Part, t *corev1.ContainerStateTerminated) life.Attempt {
	r := result(t.Message)
	return life.Attempt{
		Phase: life.Ended, Part: part, Since: t.FinishedAt.Time, ExitCode: t.ExitCode, Reason: t.Reason,
		Message: oneLine(r.Error), // names of files are in it, which are the stage's to choose
		Retry:   r.Retry, BoxFull: r.BoxFull, Files: r.Files, Bytes: r.Bytes,
	}
}

// exited is the user's container with a code other than 0.
func exited(t *corev1.ContainerStateTerminated) life.Attempt {
	a := life.Attempt{
		Phase: life.Ended, Part: life.Function, Since: t.FinishedAt.Time, ExitCode: t.ExitCode, Reason: t.Reason,
		Message: lastLine(t.Message),
	}
	switch t.Reason {
	case "OOMKilled":
		a.Cause = life.OutOfMemory
	case "StartError", "ContainerCannotRun":
		a.Cause, a.Message = life.Unstartable, oneLine(t.Message)
	}
	return a
}

// failedPod is a pod that failed without a container of it having said why.
func failedPod(pod *corev1.Pod) life.Attempt {
	a := life.Attempt{
		Phase: life.Ended, Part: life.Pod, Cause: life.Lost,
		Reason: oneLine(pod.Status.Reason), Message: oneLine(pod.Status.Message),
	}
	switch pod.Status.Reason {
	case "Evicted":
		a.Cause = life.Evicted
	case "DeadlineExceeded":
		a.Cause = life.OverDeadline
	}
	return a
}

// blocked reports a container that cannot be made. Its turn came when the pod had a node, or when
// the container before it had ended.
func blocked(part life.Part, c, before *corev1.ContainerStatus, pod *corev1.Pod) (life.Attempt, bool) {
	if c == nil || c.State.Waiting == nil {
		return life.Attempt{}, false
	}
	w := c.State.Waiting
	a := life.Attempt{
		Phase: life.Blocked, Part: part, Since: pod.CreationTimestamp.Time, Image: oneLine(c.Image), Reason: w.Reason,
		Message: oneLine(w.Message), Hopeless: w.Reason == "InvalidImageName",
	}
	if pod.Status.StartTime != nil {
		a.Since = pod.Status.StartTime.Time
	}
	if t := terminated(before); t != nil {
		a.Since = t.FinishedAt.Time
	}
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable",
		"ImageInspectError":
		a.ImagePull = true
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
	default:
		return life.Attempt{}, false
	}
	return a, true
}

func podCondition(pod *corev1.Pod, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == t {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// functionStatus is the status of the user's container, nil before kubelet has told of it.
func functionStatus(pod *corev1.Pod) *corev1.ContainerStatus {
	all := pod.Status.InitContainerStatuses
	if i := slices.IndexFunc(all, func(c corev1.ContainerStatus) bool { return stage.IsFunction(c.Name) }); i >= 0 {
		return &all[i]
	}
	return nil
}

func status(all []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}

func terminated(c *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	if c == nil {
		return nil
	}
	return c.State.Terminated
}

func result(message string) stage.Result {
	var r stage.Result
	if json.Unmarshal([]byte(message), &r) != nil {
		return stage.Result{}
	}
	return r
}

func finishedJob(j *batchv1.Job) bool {
	return hasCondition(j, batchv1.JobComplete) || hasCondition(j, batchv1.JobFailed)
}

func hasCondition(j *batchv1.Job, t batchv1.JobConditionType) bool {
	for _, c := range j.Status.Conditions {
		if c.Type == t && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

func conditionMessage(j *batchv1.Job, t batchv1.JobConditionType) string {
	for _, c := range j.Status.Conditions {
		if c.Type == t {
			return oneLine(c.Message)
		}
	}
	return ""
}

// lastLine is the last line with something in it: for Python that is the exception.
func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return oneLine(lines[len(lines)-1])
}

// maxSummary bounds what one message takes over of another's text, in bytes.
const maxSummary = 400

// oneLine is other people's text as it may stand in a message.
func oneLine(s string) string { return printable.Summary(s, maxSummary) }
