package run

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
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
	ReasonTransferDied     = "TransferDied"
	ReasonInvalidInput     = "InvalidInput"
	ReasonInvalidOutput    = "InvalidOutput"
	ReasonBoxFull          = "BoxFull"
	ReasonPodLost          = "PodLost"
	ReasonNotStarted       = "NotStarted"
)

// reasons are those above; a pod's own words may be any.
var reasons = []string{ReasonError, ReasonOOMKilled, ReasonDeadlineExceeded, ReasonImagePull, ReasonEvicted,
	ReasonStorageError, ReasonTransferDied, ReasonInvalidInput, ReasonInvalidOutput, ReasonBoxFull, ReasonPodLost,
	ReasonNotStarted}

// Why says how a stage has ended in one of a few words, for what leaves the module: metrics and spans.
// A stage's message may hold what its code has printed, and so does not belong there.
func Why(st *runtimev1.StageStatus) string {
	switch {
	case st.State != runtimev1.Failed:
		return string(st.State)
	case slices.Contains(reasons, st.Reason):
		return st.Reason
	default:
		return "Other"
	}
}

// mayGoOn reports a failure after which the attempt may go on, so that it has to be stopped.
func mayGoOn(reason string) bool {
	switch reason {
	case ReasonDeadlineExceeded, ReasonImagePull, ReasonNotStarted, ReasonPodLost:
		return true
	}
	return false
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
	if x.unsettled(st, a) {
		return
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
	case Fetching, Publishing:
		x.transferring(st)
	default:
		x.quiet(st)
	}
}

// unsettled reports an attempt of which more is to be told before it is judged. One that is to go,
// and of which nothing more can come, is lost with its node: its deadlines are no deadlines any
// more, and its commit, if it makes one yet, is found before the next attempt is made.
func (x *step) unsettled(st *runtimev1.StageStatus, a Attempt) bool {
	settled := a.Phase == Missing || a.Phase == Ended && !x.now.Before(a.SettledAt)
	switch {
	case settled:
		return false
	case !a.LostAt.IsZero() && !x.now.Before(a.LostAt):
		x.failed(st, failure{
			reason: ReasonPodLost, message: "its node has not said what became of its pod, which is to go", ours: true,
			goesOn: true,
		})
		return true
	case !a.LostAt.IsZero():
		x.lookAt(a.LostAt.Add(slack))
	}
	if a.Phase == Ended {
		x.lookAt(a.SettledAt.Add(slack))
	}
	return a.Phase == Ended
}

// quiet: there is nothing to say of a stage that runs. One that is tried again goes on saying why.
func (x *step) quiet(st *runtimev1.StageStatus) {
	if st.WaitingSince == nil || !strings.HasPrefix(st.Message, formerly) {
		st.Reason, st.Message = "", ""
	}
}

// transferring says of a stage whose files are on their way what they may be waiting for.
func (x *step) transferring(st *runtimev1.StageStatus) {
	if x.seen.StorageAway.IsZero() {
		x.quiet(st)
		return
	}
	st.Reason, st.Message = ReasonStorageError, x.storageAway()
	x.lookAt(x.now.Add(maxPause))
}

func (x *step) storageAway() string {
	return "storage has not answered since " + stamp(x.seen.StorageAway) + ": it is waited for"
}

// askAgain asks for an attempt that was asked for and never seen, and says why it could not be
// made.
func (x *step) askAgain(st *runtimev1.StageStatus) {
	a, ok := x.seen.Answers[st.Job]
	if st.Attempt > 1 && !x.mayGoOnTrying(st) {
		return
	}
	switch {
	case ok && a.ForGood:
		st.Reason, st.Message = ReasonNotStarted, a.Message
		x.failForGood(st, "")
		return
	case ok && a.Reason != "":
		st.Reason, st.Message = a.Reason, a.Message
	case ok:
		x.status.Message = a.Message
	case !x.seen.StorageAway.IsZero():
		st.Reason, st.Message = ReasonStorageError, x.storageAway()
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
	x.waitOver(st)
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
	var f failure
	if a.Part == Function || a.Part == Publish && !a.Complete {
		x.waitOver(st) // the user's container ran
	}
	switch {
	case a.Part == Publish && a.Cause == Exited && a.ExitCode == 0:
		st.State, st.Reason, st.ExitCode = runtimev1.Succeeded, "", new(int32(0))
		st.Files, st.Bytes, st.Message = a.Files, a.Bytes, kept(a.Kept)
		st.CompletionTime = x.at(a.Since)
		x.waitOver(st)
		return
	case a.Disrupted:
		f.reason, f.message, f.ours = ReasonEvicted, "its node put it out: "+cmp.Or(a.Message, a.Reason), true
	case a.Part == Publish:
		f = ofTransfer(a, "its outputs could not be taken: ", "publish", ReasonInvalidOutput)
		f.exitCode = new(int32(0)) // the function's
		f.unpublished = f.ours && !a.Complete
	case a.Part == Fetch:
		f = ofTransfer(a, "its inputs could not be brought: ", "fetch", ReasonInvalidInput)
	case a.Part == Function:
		f = ofFunction(st, a)
	default:
		f = ofPod(a)
	}
	f.at, f.hopeless = a.Since, a.Complete && a.Part == Publish && !f.ours
	x.failed(st, f)
}

// kept says of so many copies why they were not made.
func kept(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 copy was not made: a file that came after the commit is in its place, and stays"
	}
	return fmt.Sprintf("%d copies were not made: files that came after the commit are in their places, and stay", n)
}

// failure of an attempt.
type failure struct {
	reason, message string
	// ours: it is not the stage's doing, so its retries are not spent on it.
	ours bool
	// unpublished: the function has run, and publish has failed, though not by the stage's doing.
	unpublished bool
	// waited is how long it was waited already for what is not the stage's doing.
	waited time.Duration
	// goesOn: the attempt would go on by itself.
	goesOn bool
	// hopeless: it had but to complete what is committed, and says that this cannot be done: a box
	// has gone, say.
	hopeless bool
	exitCode *int32
	at       time.Time
}

func ofTransfer(a Attempt, what, who, reason string) failure {
	f := failure{reason: reason, message: what + a.Message, waited: a.Waited}
	switch {
	case a.Message == "":
		f.reason, f.ours = ReasonTransferDied, true
		f.message = what + fmt.Sprintf("%s died with exit code %d (%s)", who, a.ExitCode, a.Reason)
	case a.Retry:
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
	case a.Cause == Evicted:
		f.reason, f.message, f.ours = ReasonEvicted, "it used more than it may: "+a.Message, false
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
