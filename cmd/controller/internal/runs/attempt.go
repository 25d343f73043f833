package runs

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/unip-knative/unip/eventing/lastwords"
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
	a.Complete = job != nil && onlyPublishes(job)
	return a
}

// onlyPublishes reports an attempt that runs nothing of the user's.
func onlyPublishes(job *batchv1.Job) bool {
	pod := &job.Spec.Template.Spec
	return len(pod.Containers) > 0 && len(pod.InitContainers) == 0
}

func readPhase(job *batchv1.Job, pod *corev1.Pod) life.Attempt {
	a := life.Attempt{Phase: life.Made}
	if pod != nil {
		a = readPod(pod)
		if a.Phase == life.Ended || pod.DeletionTimestamp == nil {
			return a
		}
	}
	// The pod has gone, or is to go and may never do so: then the Job knows more.
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
	return a
}

// readPod looks for an end first, then for what goes on.
func readPod(pod *corev1.Pod) life.Attempt {
	a, ended := readEnd(pod)
	if !ended {
		a = readPresent(pod)
	}
	a.LostAt = lostAt(pod)
	return a
}

func readEnd(pod *corev1.Pod) (life.Attempt, bool) {
	fetch := status(pod.Status.InitContainerStatuses, stage.FetchContainer)
	user := functionStatus(pod)
	publish := status(pod.Status.ContainerStatuses, stage.PublishContainer)
	failed := pod.Status.Phase == corev1.PodFailed
	if t := terminated(publish); t != nil {
		return putOut(transferred(life.Publish, t), pod), true
	}
	if failed && pod.Status.Reason != "" {
		return putOut(failedPod(pod), pod), true // whatever its containers then ended with
	}
	if t := terminated(user); t != nil && t.ExitCode != 0 {
		a := exited(t)
		if !failed {
			a.SettledAt = t.FinishedAt.Add(settle)
		}
		return putOut(a, pod), true
	}
	if t := terminated(fetch); t != nil && t.ExitCode != 0 {
		return putOut(transferred(life.Fetch, t), pod), true
	}
	if failed {
		return putOut(failedPod(pod), pod), true
	}
	return life.Attempt{}, false
}

// settle is how long an exit of the user's container waits for the pod's end, which says whether
// the node has killed it, and why. The two are a second apart.
const settle = 15 * time.Second

func readPresent(pod *corev1.Pod) life.Attempt {
	fetch := status(pod.Status.InitContainerStatuses, stage.FetchContainer)
	user := functionStatus(pod)
	publish := status(pod.Status.ContainerStatuses, stage.PublishContainer)
	for _, c := range []struct {
		part   life.Part
		status *corev1.ContainerStatus
		before *corev1.ContainerStatus
	}{{life.Fetch, fetch, nil}, {life.Function, user, fetch}, {life.Publish, publish, user}} {
		if a, ok := blocked(c.part, c.status, c.before, pod); ok {
			return a
		}
		if working(c.status) {
			return atWork(c.part, c.status)
		}
	}
	if c := podCondition(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse {
		return life.Attempt{Phase: life.Unplaced, Reason: c.Reason, Message: oneLine(c.Message)}
	}
	return life.Attempt{Phase: life.Made}
}

func working(c *corev1.ContainerStatus) bool { return c != nil && c.State.Running != nil }

func atWork(part life.Part, c *corev1.ContainerStatus) life.Attempt {
	phases := map[life.Part]life.Phase{
		life.Fetch: life.Fetching, life.Function: life.Working, life.Publish: life.Publishing,
	}
	return life.Attempt{Phase: phases[part], Part: part, Since: c.State.Running.StartedAt.Time}
}

const (
	// overdue is how long after its time a pod that was to go may still be there.
	overdue = 10 * time.Second
	// lostNode is the reason of a pod that is to go because its node does not answer.
	lostNode = "DeletionByTaintManager"
)

// lostAt is from when on a pod that is to go is taken for lost, whatever was last said of its
// containers: its node may never say more.
func lostAt(pod *corev1.Pod) time.Time {
	if pod.DeletionTimestamp == nil {
		return time.Time{}
	}
	if c := podCondition(pod, corev1.DisruptionTarget); c != nil && c.Reason == lostNode {
		var grace int64
		if pod.DeletionGracePeriodSeconds != nil {
			grace = *pod.DeletionGracePeriodSeconds
		}
		return pod.DeletionTimestamp.Add(-time.Duration(grace) * time.Second)
	}
	return pod.DeletionTimestamp.Add(overdue)
}

// putOut says of an end whether it came over the pod from outside: by a drain, preemption, for want
// of something on its node, or because somebody has deleted it.
func putOut(a life.Attempt, pod *corev1.Pod) life.Attempt {
	well := a.Part == life.Publish && a.Cause == life.Exited && a.ExitCode == 0
	c := podCondition(pod, corev1.DisruptionTarget)
	switch {
	case well:
	case c != nil && c.Status == corev1.ConditionTrue:
		a.Disrupted, a.Reason, a.Message, a.SettledAt = true, oneLine(c.Reason), oneLine(c.Message), time.Time{}
		if pod.Status.Message != "" {
			a.Message = oneLine(pod.Status.Message)
		}
	case pod.DeletionTimestamp != nil && a.Cause == life.Exited:
		return life.Attempt{Phase: life.Ended, Part: life.Pod, Cause: life.Lost, Since: a.Since,
			Message: "its pod was deleted"}
	}
	return a
}

// transferred is the end of fetch or publish.
func transferred(part life.Part, t *corev1.ContainerStateTerminated) life.Attempt {
	r := result(t.Message)
	return life.Attempt{
		Phase: life.Ended, Part: part, Since: t.FinishedAt.Time, ExitCode: t.ExitCode, Reason: t.Reason,
		Message: oneLine(r.Error), // names of files are in it, which are the stage's to choose
		Retry:   r.Retry, BoxFull: r.BoxFull, Files: r.Files, Bytes: r.Bytes, Kept: r.Kept,
		Waited: time.Duration(r.WaitedSeconds) * time.Second,
	}
}

// exited is the user's container with a code other than 0.
func exited(t *corev1.ContainerStateTerminated) life.Attempt {
	a := life.Attempt{
		Phase: life.Ended, Part: life.Function, Since: t.FinishedAt.Time, ExitCode: t.ExitCode, Reason: t.Reason,
		Message: oneLine(lastwords.Of(t.Message)),
	}
	switch t.Reason {
	case "ContainerStatusUnknown", "Unknown": // kubelet's word, and containerd's
		return life.Attempt{Phase: life.Ended, Part: life.Pod, Cause: life.Lost, Since: a.Since,
			Message: "its node does not know how its container ended"}
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
		// Of its own limits kubelet says "… exceeds the limit …"; the rest, as a node that is low on
		// something and takes no pod, is not the stage's.
		if strings.Contains(pod.Status.Message, "limit") {
			a.Cause = life.Evicted
		}
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

// result is what fetch or publish has left. A pod that somebody else has made may say anything: what
// is less than nothing would stop counters.
func result(message string) stage.Result {
	var r stage.Result
	if json.Unmarshal([]byte(message), &r) != nil || min(int64(r.Files), r.Bytes, int64(r.Kept), r.WaitedSeconds) < 0 {
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

// maxSummary bounds what one message takes over of another's text, in bytes.
const maxSummary = 400

// oneLine is other people's text as it may stand in a message.
func oneLine(s string) string { return printable.Summary(s, maxSummary) }
