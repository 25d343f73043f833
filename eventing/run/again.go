package run

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// failed ends an attempt. Its own failures are counted, and the stage's retries bound them. What is
// ours is not: it is waited for, and patience bounds that.
func (x *step) failed(st *runtimev1.StageStatus, f failure) {
	st.State = runtimev1.Pending
	st.Reason, st.Message, st.ExitCode, st.CompletionTime = f.reason, f.message, f.exitCode, x.at(f.at)
	if f.goesOn {
		x.stop(st.Job)
	}
	switch {
	case f.hopeless:
		st.State = runtimev1.Failed
		x.waitOver(st)
		return
	case f.ours || x.commit(st) == Committed:
		x.wait(st, x.now.Add(-f.waited))
	default:
		x.waitOver(st)
		st.Failures++
	}
	if f.unpublished {
		st.PublishFailures++
	}
	st.DueTime = x.at(x.now.Add(pause(st.Attempt)))
	st.Message = attemptFailed(st) + f.message
	x.mayGoOnTrying(st)
}

// between looks after a stage between two attempts. When the next one is due, what decides about it
// may have changed since the last one failed.
func (x *step) between(st *runtimev1.StageStatus) {
	if at, _ := x.mayStartAt(st); !x.now.Before(at) {
		x.mayGoOnTrying(st)
	}
}

// mayGoOnTrying reports whether a further attempt of a stage may be made now, and ends the stage
// when none may be made any more. A stage that has a commit has done its work, so that its failures
// do not count. While storage does not say whether it has one, that is waited for.
func (x *step) mayGoOnTrying(st *runtimev1.StageStatus) bool {
	commit := x.commit(st)
	if commit == Unknown {
		x.wait(st, x.now)
		x.lookAt(x.now.Add(maxPause))
		x.say("stage %s waits since %s: storage does not say whether it has committed its outputs (%s: %s)", st.Name,
			stamp(st.WaitingSince.Time), st.Reason, st.Message)
	}
	switch {
	case st.WaitingSince != nil && x.waited(st) >= x.seen.Patience:
		x.failForGood(st, fmt.Sprintf("; it has waited for %s, which is all that runs.patienceMinutes allows",
			x.seen.Patience))
		return false
	case commit == NoCommit && st.Failures > int(st.Spec.Retries):
		x.failForGood(st, "")
		return false
	case commit == NoCommit && st.PublishFailures > maxPublishFailures:
		x.failForGood(st, fmt.Sprintf("; its container has run %d times for nothing", st.PublishFailures))
		return false
	}
	return commit != Unknown
}

// failForGood: nothing further is tried. The stage has failed once its commit is closed; one that is
// there cannot be.
func (x *step) failForGood(st *runtimev1.StageStatus, why string) {
	st.State, st.Message = runtimev1.Pending, strings.TrimPrefix(st.Message, attemptFailed(st))+why
	x.waitOver(st)
	if st.CompletionTime == nil { // a further attempt was asked for, and never made
		st.CompletionTime = x.at(x.now)
	}
	if st.DueTime = nil; st.RanAttempt > 0 || x.seen.Commits[st.Name] == Committed {
		x.shut(st, "")
		return
	}
	x.lookAt(x.now.Add(soon))
}

// formerly begins the messages of stages that are tried again.
const formerly = "attempt "

func attemptFailed(st *runtimev1.StageStatus) string {
	return fmt.Sprintf(formerly+"%d failed: ", st.Attempt)
}

// FailureText is what the message of a stage whose attempt has failed says, without the attempt's number.
func FailureText(st *runtimev1.StageStatus, attempt int) string {
	failed := *st
	failed.Attempt = attempt
	return strings.TrimPrefix(st.Message, attemptFailed(&failed))
}

// commit is what is known of a stage's commit.
func (x *step) commit(st *runtimev1.StageStatus) Commit {
	if st.RanAttempt > 0 {
		return Committed
	}
	c, known := x.seen.Commits[st.Name]
	if f := x.seen.Fences[st.Name]; f != Unknown {
		return f
	}
	if !known && !slices.Contains(x.asked, st.Name) {
		x.asked = append(x.asked, st.Name)
	}
	return c
}

// wait begins to count how long a stage waits for what is not its doing, unless that has begun.
func (x *step) wait(st *runtimev1.StageStatus, since time.Time) {
	if st.WaitingSince == nil || st.WaitingSince.After(x.now) { // the clock was set back
		st.WaitingSince = x.at(since)
	}
}

// waitOver ends that: the user's container has run, or the stage has failed by itself.
func (x *step) waitOver(st *runtimev1.StageStatus) {
	if st.WaitingSince != nil {
		st.WaitedSeconds, st.WaitingSince = int64(x.waited(st)/time.Second), nil
	}
}

// waited is how long a stage has waited in all.
func (x *step) waited(st *runtimev1.StageStatus) time.Duration {
	before := time.Duration(st.WaitedSeconds) * time.Second
	if st.WaitingSince == nil {
		return before
	}
	return before + max(0, x.now.Sub(st.WaitingSince.Time)).Round(time.Second)
}

// sayWaiting has the run's message tell what is waited for, and since when.
func (x *step) sayWaiting() {
	for _, st := range x.status.Stages {
		what := st.Reason + ": " + st.Message
		if st.Reason == "" {
			what = fmt.Sprintf("attempt %d is under way", st.Attempt)
		}
		switch {
		case st.WaitingSince != nil:
			x.say("stage %s waits since %s: %s", st.Name, stamp(st.WaitingSince.Time), what)
		case st.State == runtimev1.Running && st.Reason == ReasonStorageError:
			x.say("stage %s waits: %s", st.Name, st.Message)
		}
	}
}

// say gives the run a message, unless something else was to be said first.
func (x *step) say(format string, args ...any) {
	if x.status.Message == "" {
		x.status.Message = fmt.Sprintf(format, args...)
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func (x *step) at(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		t = x.now
	}
	return &metav1.MicroTime{Time: t}
}

// pause before the attempt after the nth: 2, 4, 8 … at most 30 s.
func pause(n int) time.Duration {
	return min(time.Second<<min(n, 10), maxPause)
}
