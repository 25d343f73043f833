package runs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/stage"
)

// Reasons of a failed stage, in Kubernetes' words where it has one.
const (
	ReasonError            = "Error"
	ReasonOOMKilled        = "OOMKilled"
	ReasonDeadlineExceeded = "DeadlineExceeded"
	ReasonImagePull        = "ImagePull"
	ReasonEvicted          = "Evicted"
	ReasonStorageError     = "StorageError"
	ReasonInvalidInput     = "InvalidInput"
	ReasonInvalidOutput    = "InvalidOutput"
	ReasonBoxFull          = "BoxFull"
	ReasonPodLost          = "PodLost"
	ReasonNotStarted       = "NotStarted"
)

// outcome is what an attempt's Job and pod say.
type outcome struct {
	state runtimev1.State // Running, Succeeded or Failed
	// reason and message of a failure; of a running one what it waits for, if anything.
	reason, message string
	// ours is a failure that is not the stage's doing: its retries are not spent on it.
	ours bool
	// stop says that the pod would go on by itself.
	stop     bool
	exitCode *int32
	ended    time.Time
	result   stage.Result
	// look is when a deadline passes.
	look time.Time
}

// deadlines of an attempt.
type deadlines struct {
	imagePull time.Duration
}

// judge reads the state of an attempt from its Job and its pod; either may be nil. It takes the newest truth: publish's exit in the pod's status is seconds ahead of the Job's condition.
func judge(st *runtimev1.StageStatus, job *batchv1.Job, pod *corev1.Pod, d deadlines, now time.Time) outcome {
	if pod != nil {
		if o, ok := judgePod(st, pod, d, now); ok {
			return o
		}
	}
	switch {
	case job == nil:
		return outcome{state: runtimev1.Failed, reason: ReasonPodLost, message: "its Job has gone", ours: true, ended: now}
	case hasCondition(job, batchv1.JobFailed):
		return outcome{state: runtimev1.Failed, reason: ReasonPodLost, message: "its pod has gone: " + conditionMessage(job, batchv1.JobFailed), ours: true, ended: now}
	case hasCondition(job, batchv1.JobComplete):
		return outcome{state: runtimev1.Succeeded, ended: now} // the pod was removed early; its exit is what the Job says
	}
	return outcome{state: runtimev1.Running}
}

// judgePod reports false when the pod says nothing final and has gone.
func judgePod(st *runtimev1.StageStatus, pod *corev1.Pod, d deadlines, now time.Time) (outcome, bool) {
	fetch, user := status(pod.Status.InitContainerStatuses, stage.FetchContainer), functionStatus(pod)
	publish := status(pod.Status.ContainerStatuses, stage.PublishContainer)
	if t := terminated(publish); t != nil {
		return published(t), true
	}
	if t := terminated(user); t != nil && t.ExitCode != 0 {
		return ended(st, t), true
	}
	if t := terminated(fetch); t != nil && t.ExitCode != 0 {
		return fetched(t), true
	}
	if pod.Status.Phase == corev1.PodFailed {
		return lost(pod, now), true
	}
	if pod.DeletionTimestamp != nil {
		return outcome{}, false
	}
	for _, c := range []*corev1.ContainerStatus{fetch, user, publish} {
		if o, ok := waits(c, pod, d, now); ok {
			return o, true
		}
	}
	if user != nil && user.State.Running != nil {
		over := user.State.Running.StartedAt.Add(time.Duration(st.Spec.TimeoutSeconds) * time.Second)
		if now.After(over) {
			return outcome{
				state: runtimev1.Failed, reason: ReasonDeadlineExceeded, ended: now, stop: true,
				message: fmt.Sprintf("it ran longer than its timeout of %s", time.Duration(st.Spec.TimeoutSeconds)*time.Second),
			}, true
		}
		return outcome{state: runtimev1.Running, look: over.Add(100 * time.Millisecond)}, true
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return outcome{state: runtimev1.Running, reason: c.Reason, message: "it waits for a node: " + oneLine(c.Message)}, true
		}
	}
	return outcome{state: runtimev1.Running}, true
}

func published(t *corev1.ContainerStateTerminated) outcome {
	o := outcome{ended: t.FinishedAt.Time, result: result(t.Message)}
	if t.ExitCode == 0 {
		o.state, o.exitCode = runtimev1.Succeeded, new(int32(0))
		return o
	}
	o.state, o.reason, o.exitCode = runtimev1.Failed, ReasonInvalidOutput, new(int32(0))
	o.message = "its outputs could not be taken: " + said(o.result, t)
	if o.result.Retry || o.result.Error == "" {
		o.reason, o.ours = ReasonStorageError, true
	} else if o.result.BoxFull {
		o.reason = ReasonBoxFull
	}
	return o
}

func fetched(t *corev1.ContainerStateTerminated) outcome {
	o := outcome{state: runtimev1.Failed, reason: ReasonInvalidInput, ended: t.FinishedAt.Time, result: result(t.Message)}
	o.message = "its inputs could not be brought: " + said(o.result, t)
	if o.result.Retry || o.result.Error == "" {
		o.reason, o.ours = ReasonStorageError, true
	}
	return o
}

func said(r stage.Result, t *corev1.ContainerStateTerminated) string {
	if r.Error != "" { // names of files are in it, which are the stage's to choose
		return oneLine(r.Error)
	}
	return fmt.Sprintf("exit code %d (%s)", t.ExitCode, t.Reason)
}

// ended is the user's container with a code other than 0.
func ended(st *runtimev1.StageStatus, t *corev1.ContainerStateTerminated) outcome {
	o := outcome{state: runtimev1.Failed, reason: ReasonError, ended: t.FinishedAt.Time, exitCode: new(t.ExitCode), message: fmt.Sprintf("exit code %d", t.ExitCode)}
	switch last := lastLine(t.Message); {
	case t.Reason == "OOMKilled":
		o.reason = ReasonOOMKilled
		o.message = "it was killed, for it needed more memory than its limit"
		if limit, ok := st.Spec.Resources.Limits[corev1.ResourceMemory]; ok {
			o.message += " of " + limit.String()
		}
	case t.Reason == "StartError" || t.Reason == "ContainerCannotRun":
		o.reason, o.message = ReasonNotStarted, "it could not be started: "+oneLine(t.Message)
	case last != "":
		o.message += ": " + last
	}
	return o
}

// lost is a pod that failed without a container of it having said why.
func lost(pod *corev1.Pod, now time.Time) outcome {
	o := outcome{state: runtimev1.Failed, reason: ReasonPodLost, ours: true, ended: now, message: oneLine(pod.Status.Message)}
	switch pod.Status.Reason {
	case "Evicted":
		o.reason, o.message = ReasonEvicted, "its node put it out: "+oneLine(pod.Status.Message)
	case "DeadlineExceeded":
		o.reason, o.ours, o.message = ReasonDeadlineExceeded, false, "it ran longer than its timeout and the time for files allow"
	case "":
		o.message = "its pod failed without a word"
	default:
		o.message = oneLine(pod.Status.Reason) + ": " + oneLine(pod.Status.Message)
	}
	return o
}

// waits reports a container that cannot be started. Kubelet goes on trying for ever; the deadline ends it.
func waits(c *corev1.ContainerStatus, pod *corev1.Pod, d deadlines, now time.Time) (outcome, bool) {
	if c == nil || c.State.Waiting == nil {
		return outcome{}, false
	}
	w := c.State.Waiting
	image := false
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable", "ImageInspectError":
		image = true
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
	default:
		return outcome{}, false
	}
	since := pod.CreationTimestamp.Time
	if pod.Status.StartTime != nil {
		since = pod.Status.StartTime.Time
	}
	over := since.Add(d.imagePull)
	if w.Reason != "InvalidImageName" && now.Before(over) {
		return outcome{state: runtimev1.Running, reason: w.Reason, message: oneLine(w.Message), look: over.Add(100 * time.Millisecond)}, true
	}
	o := outcome{state: runtimev1.Failed, reason: ReasonNotStarted, ended: now, stop: true, message: "its container could not be made: " + oneLine(w.Message)}
	if image {
		o.reason, o.message = ReasonImagePull, fmt.Sprintf("the image %s cannot be had: %s", oneLine(c.Image), oneLine(w.Message))
	}
	o.ours = !stage.IsFunction(c.Name)
	return o, true
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
