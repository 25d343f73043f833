package run

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
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

// mayGoOn reports a failure after which the attempt may go on, so that it has to be stopped.
func mayGoOn(reason string) bool {
	return reason == ReasonDeadlineExceeded || reason == ReasonImagePull || reason == ReasonNotStarted
}

// slack lets a deadline pass before it is looked at.
const slack = 100 * time.Millisecond

// judge takes over what is seen of a running stage's attempt.
func (x *step) judge(st *runtimev1.StageStatus) {
	a := x.seen.Attempts[st.Job]
	if st.StartTime == nil {
		if a.Phase == Missing {
			x.askAgain(st)
			return
		}
		x.begun(st, a)
	}
	switch a.Phase {
	case Missing:
		x.failed(st, failure{reason: ReasonPodLost, message: a.Message, ours: true})
	case Ended:
		x.attemptEnded(st, a)
	case Blocked:
		x.blocked(st, a)
	case Working:
		x.working(st, a)
	case Unplaced:
		st.Reason, st.Message = a.Reason, "it waits for a node: "+a.Message
	default:
		st.Reason, st.Message = "", ""
	}
}

// askAgain asks for an attempt that was asked for and never seen, and says why it could not be
// made.
func (x *step) askAgain(st *runtimev1.StageStatus) {
	a, ok := x.seen.Answers[st.Job]
	switch {
	case ok && a.ForGood:
		st.State, st.Reason, st.Message = runtimev1.Failed, ReasonNotStarted, a.Message
		st.CompletionTime = x.at(x.now)
		return
	case ok && a.Reason != "":
		st.Reason, st.Message = a.Reason, a.Message
	case ok:
		x.status.Message = a.Message
	}
	again := askAgain
	if ok {
		again = a.Again
	}
	x.start(st)
	x.lookAt(x.now.Add(again))
}

// begun writes down that an attempt was seen.
func (x *step) begun(st *runtimev1.StageStatus, a Attempt) {
	at := a.Made
	if st.DueTime != nil && at.Before(st.DueTime.Time) { // its time may be in whole seconds, or by another clock
		at = st.DueTime.Time
	}
	st.StartTime = &metav1.MicroTime{Time: at}
	x.status.State, x.status.Message = runtimev1.Running, ""
}

// working holds a stage to its timeout.
func (x *step) working(st *runtimev1.StageStatus, a Attempt) {
	timeout := time.Duration(st.Spec.TimeoutSeconds) * time.Second
	over := a.Since.Add(timeout)
	if x.now.After(over) {
		x.failed(st, failure{
			reason: ReasonDeadlineExceeded, message: fmt.Sprintf("it ran longer than its timeout of %s", timeout),
			goesOn: true,
		})
		return
	}
	st.Reason, st.Message = "", ""
	x.lookAt(over.Add(slack))
}

// blocked gives a container that cannot be made its time. Kubernetes goes on trying for ever; the
// deadline ends it.
func (x *step) blocked(st *runtimev1.StageStatus, a Attempt) {
	over := a.Since.Add(x.seen.ImagePull)
	if !a.Hopeless && x.now.Before(over) {
		st.Reason, st.Message = a.Reason, a.Message
		x.lookAt(over.Add(slack))
		return
	}
	f := failure{
		reason: ReasonNotStarted, message: "its container could not be made: " + a.Message, ours: a.Part != Function,
		goesOn: true,
	}
	if a.ImagePull {
		f.reason, f.message = ReasonImagePull, fmt.Sprintf("the image %s cannot be had: %s", a.Image, a.Message)
	}
	x.failed(st, f)
}

// attemptEnded takes over an end.
func (x *step) attemptEnded(st *runtimev1.StageStatus, a Attempt) {
	f := failure{at: a.Since}
	switch {
	case a.Part == Publish && a.Cause == Exited && a.ExitCode == 0:
		st.State, st.Reason, st.Message, st.ExitCode = runtimev1.Succeeded, "", "", new(int32(0))
		st.Files, st.Bytes = a.Files, a.Bytes
		st.CompletionTime = x.at(a.Since)
		return
	case a.Disrupted:
		f.reason, f.message, f.ours = ReasonEvicted, "its node put it out: "+orElse(a.Message, a.Reason), true
	case a.Part == Publish:
		f = ofTransfer(a, "its outputs could not be taken: ", ReasonInvalidOutput)
		f.exitCode = new(int32(0)) // the function's
	case a.Part == Fetch:
		f = ofTransfer(a, "its inputs could not be brought: ", ReasonInvalidInput)
	case a.Part == Function:
		f = ofFunction(st, a)
	default:
		f = ofPod(a)
	}
	f.at = a.Since
	x.failed(st, f)
}

// failure of an attempt.
type failure struct {
	reason, message string
	// ours: it is not the stage's doing, so its retries are not spent on it.
	ours bool
	// goesOn: the attempt would go on by itself.
	goesOn   bool
	exitCode *int32
	at       time.Time
}

func ofTransfer(a Attempt, what, reason string) failure {
	words := a.Message
	if words == "" {
		words = fmt.Sprintf("exit code %d (%s)", a.ExitCode, a.Reason)
	}
	f := failure{reason: reason, message: what + words}
	switch {
	case a.Retry || a.Message == "":
		f.reason, f.ours = ReasonStorageError, true
	case a.BoxFull:
		f.reason = ReasonBoxFull
	}
	return f
}

func ofFunction(st *runtimev1.StageStatus, a Attempt) failure {
	f := failure{reason: ReasonError, message: fmt.Sprintf("exit code %d", a.ExitCode), exitCode: new(a.ExitCode)}
	switch {
	case a.Cause == OutOfMemory:
		f.reason, f.message = ReasonOOMKilled, "it was killed, for it needed more memory than its limit"
		if limit, ok := st.Spec.Resources.Limits[corev1.ResourceMemory]; ok {
			f.message += " of " + limit.String()
		}
	case a.Cause == Unstartable:
		f.reason, f.message = ReasonNotStarted, "it could not be started: "+a.Message
	case a.Message != "":
		f.message += ": " + a.Message
	}
	return f
}

func ofPod(a Attempt) failure {
	f := failure{reason: ReasonPodLost, message: a.Message, ours: true}
	switch {
	case a.Cause == Evicted: // not disrupted: for what it did itself
		f.reason, f.message, f.ours = ReasonEvicted, "its node put it out: "+a.Message, false
	case a.Cause == OverDeadline:
		f.reason, f.ours = ReasonDeadlineExceeded, false
		f.message = "it ran longer than its timeout and the time for files allow"
	case a.Reason != "":
		f.message = a.Reason + ": " + a.Message
	case a.Message == "":
		f.message = "its pod failed without a word"
	}
	return f
}

// failed ends an attempt, and the stage with it if it may have no further one.
func (x *step) failed(st *runtimev1.StageStatus, f failure) {
	st.Reason, st.Message, st.ExitCode, st.CompletionTime = f.reason, f.message, f.exitCode, x.at(f.at)
	if f.goesOn {
		x.stop(st.Job)
	}
	if st.Attempt >= mayTry(st, f.ours) {
		st.State = runtimev1.Failed
		return
	}
	st.State = runtimev1.Pending
	st.DueTime = &metav1.MicroTime{Time: x.now.Add(pause(st.Attempt))}
	st.Message = fmt.Sprintf("attempt %d failed: %s", st.Attempt, f.message)
}

func (x *step) at(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		t = x.now
	}
	return &metav1.MicroTime{Time: t}
}

// oursAtMost is how many attempts more a stage gets for failures that are not its own doing.
const oursAtMost = 3

// mayTry is how many attempts a stage has.
func mayTry(st *runtimev1.StageStatus, ours bool) int {
	n := 1 + int(st.Spec.Retries)
	if ours {
		n += oursAtMost
	}
	return n
}

// pause before the attempt after the nth: 2, 4, 8 … at most 60 s.
func pause(n int) time.Duration {
	return min(time.Second<<min(n, 10), maxPause)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
