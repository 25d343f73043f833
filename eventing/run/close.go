package run

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// WantsFences are the stages that are to end without outputs, in Seen.Fences: of a run that is to
// end those that have begun, and a stage of which nothing further is tried. Whoever drives Step
// closes their commits in storage, unless one is there, and asks again until there are no more. Who
// has decided so is stored by then, so that no stage is closed that is given another attempt.
func WantsFences(run *runtimev1.PipelineRun, seen Seen, now time.Time) []string {
	x := &step{run: run, seen: seen, now: now}
	over := func(st runtimev1.StageStatus) bool { return isOver(&st) }
	if run.DeletionTimestamp != nil || !x.isClosing() && !slices.ContainsFunc(run.Status.Stages, over) {
		return nil
	}
	x.status = *run.Status.DeepCopy()
	x.take()
	return x.fences
}

// AskStorage asks what the next Step wants to know of storage: commit whether a stage has a commit,
// and fence that it gets none from now on. A storage that has just not answered is asked nothing
// more.
func (s *Seen) AskStorage(run *runtimev1.PipelineRun, now time.Time, commit, fence func(stage string) Commit) {
	last := NoCommit
	ask := func(all map[string]Commit, stages []string, do func(stage string) Commit) {
		for _, name := range stages {
			if last != Unknown {
				last = do(name)
			}
			all[name] = last
		}
	}
	s.Commits, s.Fences = map[string]Commit{}, map[string]Commit{}
	ask(s.Commits, WantsCommits(run, *s, now), commit)
	for {
		wanted := WantsFences(run, *s, now)
		if len(wanted) == 0 {
			return
		}
		ask(s.Fences, wanted, fence)
	}
}

// isClosing reports a run that is to end before all of its stages have succeeded. It is stored.
func (x *step) isClosing() bool {
	return x.run.Spec.Cancel || slices.ContainsFunc(x.run.Status.Stages, func(st runtimev1.StageStatus) bool {
		return st.State.Done() && st.State != runtimev1.Succeeded
	})
}

// close takes such a run one step further. What has a commit is completed, nothing else goes on.
func (x *step) close() {
	x.status.Message = ""
	for i := range x.status.Stages {
		st := &x.status.Stages[i]
		if st.State == runtimev1.Cancelled {
			x.stop(st.Job) // it may not have been reached
		}
		if !isOpen(*st) {
			continue
		}
		if x.resolve(st); st.RanAttempt > 0 {
			x.complete(st)
		}
	}
	if !slices.ContainsFunc(x.status.Stages, isOpen) {
		x.end(x.outcome())
		return
	}
	x.sayClosing()
}

// isOpen reports a stage that has begun and not ended.
func isOpen(st runtimev1.StageStatus) bool { return st.Attempt > 0 && !st.State.Done() }

// isOver reports a stage of which nothing further is tried. It has failed once its commit is closed.
func isOver(st *runtimev1.StageStatus) bool {
	return st.State == runtimev1.Pending && st.Attempt > 0 && st.DueTime == nil
}

// resolve has storage decide about a stage that is to end: an attempt of it may have committed, or
// may be about to.
func (x *step) resolve(st *runtimev1.StageStatus) {
	switch x.fence(st) {
	case Committed:
		if st.RanAttempt == 0 {
			st.RanAttempt = st.Attempt
			x.waitOver(st)
		}
		if isOver(st) {
			st.DueTime = x.at(x.now)
		}
	case NoCommit:
		x.shut(st, "")
	default:
		x.hold(st)
	}
}

// fence is what storage says to a stage's end: NoCommit when it has none and never will.
func (x *step) fence(st *runtimev1.StageStatus) Commit {
	if st.RanAttempt > 0 {
		return Committed
	}
	c, known := x.seen.Fences[st.Name]
	if !known && !slices.Contains(x.fences, st.Name) {
		x.fences = append(x.fences, st.Name)
	}
	return c
}

// shut ends a stage without outputs.
func (x *step) shut(st *runtimev1.StageStatus, why string) {
	x.waitOver(st)
	switch {
	case isOver(st):
		st.State, st.Message = runtimev1.Failed, st.Message+why
	case st.State == runtimev1.Running:
		st.State, st.Reason, st.Message = runtimev1.Cancelled, "", "the run ended"+why
		st.CompletionTime = x.at(x.now)
		x.stop(st.Job)
	default:
		st.State, st.Message = runtimev1.Skipped, st.Message+why
	}
}

// hold waits for storage's word. The user's container is stopped meanwhile; publish may go on.
func (x *step) hold(st *runtimev1.StageStatus) {
	x.wait(st, x.now)
	if x.waited(st) >= x.seen.Patience {
		why := fmt.Sprintf("storage does not say whether it has committed its outputs, and runs.patienceMinutes allows "+
			"no longer wait than %s: they may become visible yet", x.seen.Patience)
		if !isOver(st) { // else it is the run's message
			x.unsure = append(x.unsure, "stage "+st.Name+": "+why)
		}
		x.shut(st, "; "+why)
		return
	}
	if st.State == runtimev1.Running {
		if p := x.seen.Attempts[st.Job].Phase; p != Publishing && p != Ended {
			x.stop(st.Job)
		}
		st.Reason, st.Message = ReasonStorageError, "it is to end, and storage does not say whether it has committed"
	}
	x.say("stage %s waits since %s: storage does not say whether it has committed its outputs", st.Name,
		stamp(st.WaitingSince.Time))
	x.lookAt(x.now.Add(askAgain))
}

// complete sees to the copies of a stage that has a commit.
func (x *step) complete(st *runtimev1.StageStatus) {
	if st.State == runtimev1.Running {
		x.judge(st)
	}
	if st.State != runtimev1.Pending {
		return
	}
	if at, _ := x.mayStartAt(st); x.now.Before(at) {
		x.lookAt(at)
	} else if x.mayGoOnTrying(st) {
		x.askForAttempt(st)
	}
}

// sayClosing has the run's message tell why it ends, and what it waits for.
func (x *step) sayClosing() {
	_, why := x.outcome()
	if x.run.Spec.Cancel {
		why = "it is being cancelled"
	}
	for _, st := range x.status.Stages {
		if isOpen(st) && st.RanAttempt > 0 {
			x.say("the outputs of stage %s are committed, and are being completed", st.Name)
		}
	}
	if x.status.Message != "" {
		why += "; " + x.status.Message
	}
	x.status.Message = why
}

// outcome is what a run ends as that goes on no more.
func (x *step) outcome() (runtimev1.State, string) {
	all := x.status.Stages
	i := slices.IndexFunc(all, inState(runtimev1.Failed))
	done := len(all) > 0 && !slices.ContainsFunc(all, func(st runtimev1.StageStatus) bool {
		return st.State != runtimev1.Succeeded
	})
	switch {
	case done:
		return runtimev1.Succeeded, ""
	case x.run.Spec.Cancel || i < 0:
		return runtimev1.Cancelled, strings.Join(append([]string{"cancelled by its user"}, x.unsure...), "; ")
	}
	st := all[i]
	message := fmt.Sprintf("stage %s failed: %s: %s", st.Name, st.Reason, st.Message)
	if st.Attempt > 1 {
		message += fmt.Sprintf(" (attempt %d)", st.Attempt)
	}
	return runtimev1.Failed, strings.Join(append([]string{message}, x.unsure...), "; ")
}

// GiveUp is the status of a run that has failed, whatever its stages have come to, for what it worked on
// is there no more. Storage is not asked: it would not know.
func GiveUp(run *runtimev1.PipelineRun, why string, now time.Time) runtimev1.PipelineRunStatus {
	x := &step{run: run, now: now, status: *run.Status.DeepCopy()}
	for i := range x.status.Stages {
		if st := &x.status.Stages[i]; isOpen(*st) {
			x.shut(st, "")
		}
	}
	x.end(runtimev1.Failed, why)
	makePrintable(&x.status)
	return x.status
}

// end closes the run.
func (x *step) end(state runtimev1.State, message string) {
	s := &x.status
	s.State, s.Message, s.CompletionTime = state, message, &metav1.Time{Time: x.now}
	x.starts = nil
	for i := range s.Stages {
		if st := &s.Stages[i]; st.State == runtimev1.Pending {
			st.State = runtimev1.Skipped
		}
	}
	c := metav1.Condition{Type: ConditionSucceeded, Status: metav1.ConditionFalse, Reason: string(state),
		Message: message}
	if state == runtimev1.Succeeded {
		c.Status = metav1.ConditionTrue
	}
	x.setCondition(c)
	x.closing = append(x.closing, DropSessions{}, Record{})
	x.lookAt(x.now.Add(soon)) // to wrap up
}
