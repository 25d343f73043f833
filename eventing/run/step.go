package run

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/printable"
)

// Conditions of a run.
const (
	// ConditionSucceeded is Unknown while the run goes on.
	ConditionSucceeded = "Succeeded"
	// ConditionEventsLost: the run, or a stage of it, was started without its event.
	ConditionEventsLost = "EventsLost"
)

const (
	// TellFor is how long after a run's end its events are still tried.
	TellFor = 10 * time.Minute
	// tellAgain is the pause before an event is given to the Broker again.
	tellAgain = 30 * time.Second
	// askAgain is the pause before an attempt that was not seen is asked for again, if nothing else
	// causes a step.
	askAgain = 10 * time.Second
	// GraceTaken is the grace period once a Broker has taken the event that answers only after its
	// subscribers have: of a stage, and of an upload.
	GraceTaken = 5 * time.Second
	// soon is the pause before a step that needs nothing but this one's status.
	soon = 10 * time.Millisecond
	// stopAgain is the pause before attempts of a run that has ended are stopped again.
	stopAgain = time.Second
	// leastPatience is what each attempt has of it, however long its stage has waited.
	leastPatience = time.Minute
	// maxPublishFailures is how often the user's container is run again for the sake of a publish
	// that fails, though not by the stage's doing: what fails so often does so for a reason.
	maxPublishFailures = 5
	// maxPause is the longest pause before a further attempt, and before another look at what is
	// waited for.
	maxPause = 30 * time.Second
)

// Step takes a run one step further. It changes nothing of what it is given. What the status says to
// people is fit for their terminals.
func Step(run *runtimev1.PipelineRun, seen Seen, now time.Time) (runtimev1.PipelineRunStatus, []Action) {
	x := &step{run: run, seen: seen, now: now, status: *run.Status.DeepCopy()}
	if run.DeletionTimestamp != nil { // its attempts and its sessions go with it
		return x.status, nil
	}
	x.take()
	actions := x.allActions()
	makePrintable(&x.status)
	return x.status, actions
}

// WantsCommits are the stages of which Step wants to know whether they have a commit, in
// Seen.Commits: those whose attempt has failed, and those that may be given a further one now. While
// nothing fails there are none.
func WantsCommits(run *runtimev1.PipelineRun, seen Seen, now time.Time) []string {
	if run.DeletionTimestamp != nil {
		return nil
	}
	seen.Commits = nil
	x := &step{run: run, seen: seen, now: now, status: *run.Status.DeepCopy()}
	x.take()
	return x.asked
}

func (x *step) take() {
	switch {
	case x.status.State.Done():
		x.wrapUp()
	case x.isClosing():
		x.close()
	default:
		x.proceed()
	}
}

// UnderWay reports a run that counts against its pipeline's limit: it has begun an attempt, and it
// has not ended.
func UnderWay(s *runtimev1.PipelineRunStatus) bool {
	return !s.State.Done() && slices.ContainsFunc(s.Stages,
		func(st runtimev1.StageStatus) bool { return st.Attempt > 0 })
}

type step struct {
	run    *runtimev1.PipelineRun
	seen   Seen
	now    time.Time
	status runtimev1.PipelineRunStatus

	starts, stops, closing []Action
	keepHint               bool
	admitted               bool // it waited for room and need not wait for an event besides
	look                   time.Time
	asked                  []string // stages whose commit was asked for and is not in seen
	fences                 []string // likewise, stages that are to end
	unsure                 []string // what ended although storage did not say whether it has a commit
}

// allActions are those of the step in the order in which they are carried out.
func (x *step) allActions() []Action {
	all := slices.Concat(x.announcements(), x.starts, x.stops)
	all = append(all, x.closing...)
	if x.keepHint && x.seen.Hint {
		all = append(all, KeepHint{})
	}
	if !x.look.IsZero() {
		all = append(all, Look{At: x.look})
	}
	return all
}

func (x *step) lookAt(t time.Time) {
	if x.look.IsZero() || t.Before(x.look) {
		x.look = t
	}
}

func (x *step) stop(name string) {
	if name != "" && !slices.Contains(x.stops, Action(StopAttempt{Name: name})) {
		x.stops = append(x.stops, StopAttempt{Name: name})
	}
}

// proceed takes a run that goes on one step further.
func (x *step) proceed() {
	if len(x.status.Stages) == 0 {
		x.begin()
	}
	if x.status.State.Done() || len(x.status.Stages) == 0 {
		return
	}
	x.status.Message = "" // whoever waits says so again
	for i := range x.status.Stages {
		switch st := &x.status.Stages[i]; {
		case st.State == runtimev1.Running:
			x.judge(st)
		case isOver(st):
			x.resolve(st)
		case isOpen(*st):
			x.between(st)
		}
	}
	if !x.finish() {
		x.startDue()
		x.sayWaiting()
	}
}

// begin takes over the plan, once and for all. What is wrong with it ends the run before anything
// of it has run.
func (x *step) begin() {
	s, p := &x.status, x.seen.Plan
	if s.StartTime == nil {
		s.StartTime = &metav1.Time{Time: x.now}
	}
	s.State = runtimev1.Pending
	if what := x.run.Annotations[runtimev1.EventLostAnnotation]; what != "" {
		x.setCondition(metav1.Condition{
			Type: ConditionEventsLost, Status: metav1.ConditionTrue, Reason: "GracePeriodOver",
			Message: fmt.Sprintf("the run was started without its event (%s): none came in time", what),
		})
	}
	switch {
	case p == nil:
		x.keepHint = true
	case p.Refusal != "":
		x.end(runtimev1.Failed, p.Refusal)
	case p.Wait != "":
		s.Message = p.Wait
		x.keepHint = true
		x.lookAt(x.now.Add(p.Again))
	default:
		s.Message = ""
		for _, st := range p.Stages {
			st = *st.DeepCopy()
			if st.State = runtimev1.Pending; len(st.Needs) == 0 {
				st.DueTime = &metav1.MicroTime{Time: x.now}
			}
			s.Stages = append(s.Stages, st)
		}
		s.Outputs = p.Outputs
		if p.Kept != "" {
			x.setCondition(metav1.Condition{
				Type: runtimev1.ConditionPlaced, Status: metav1.ConditionFalse, Reason: "KeptDefault", Message: p.Kept,
			})
		}
		x.setCondition(metav1.Condition{
			Type: ConditionSucceeded, Status: metav1.ConditionUnknown, Reason: string(runtimev1.Running),
		})
	}
}

// finish ends the run when all have succeeded, or begins to when a stage has failed for good.
func (x *step) finish() bool {
	all := x.status.Stages
	failed := slices.ContainsFunc(all, inState(runtimev1.Failed))
	switch {
	case !failed && slices.ContainsFunc(all, func(st runtimev1.StageStatus) bool {
		return st.State != runtimev1.Succeeded
	}):
		return false
	case failed && slices.ContainsFunc(all, isOpen):
		x.starts, x.status.Message = nil, ""
		x.sayClosing()
		x.lookAt(x.now.Add(soon)) // to close them, once this is stored
	default:
		x.end(x.outcome())
	}
	return true
}

func inState(s runtimev1.State) func(runtimev1.StageStatus) bool {
	return func(st runtimev1.StageStatus) bool { return st.State == s }
}

// wrapUp does what is left for a run that has ended, until none of its attempts goes on and it is
// recorded and told.
func (x *step) wrapUp() {
	s := &x.status
	until := s.CompletionTime.Add(TellFor)
	for _, name := range x.seen.Going {
		if !x.endsByItself(name) {
			x.stop(name)
		}
	}
	switch {
	case len(x.stops) > 0:
		x.closing = append(x.closing, DropSessions{})
		x.lookAt(x.now.Add(stopAgain))
	case s.Recorded:
	case x.seen.Recorded:
		s.Recorded = true
	default:
		// Storage may be away.
		last := s.CompletionTime.Add(max(TellFor, x.seen.Patience))
		x.closing = append(x.closing, DropSessions{}, Record{Last: !x.now.Before(last)})
		x.lookAt(x.now.Add(stopAgain))
	}
	if x.takePublished() && !x.now.After(until) {
		x.lookAt(x.now.Add(tellAgain))
	}
	if at := until.Add(time.Second); x.now.Before(at) {
		x.lookAt(at) // to forget it
	}
}

// endsByItself reports the attempt of a stage that has ended: its holder says so some seconds
// later.
func (x *step) endsByItself(attempt string) bool {
	for _, st := range x.status.Stages {
		if st.Job == attempt {
			return st.State == runtimev1.Succeeded || st.State == runtimev1.Failed && !mayGoOn(st.Reason)
		}
	}
	return false
}

func (x *step) setCondition(c metav1.Condition) {
	all := x.status.Conditions
	c.ObservedGeneration, c.LastTransitionTime = x.run.Generation, metav1.Time{Time: x.now}
	i := slices.IndexFunc(all, func(o metav1.Condition) bool { return o.Type == c.Type })
	if i < 0 {
		x.status.Conditions = append(x.status.Conditions, c)
		return
	}
	if all[i].Status == c.Status {
		c.LastTransitionTime = all[i].LastTransitionTime
	}
	all[i] = c
}

// makePrintable makes what a status says to people fit for their terminals, whoever's words are in
// it.
func makePrintable(s *runtimev1.PipelineRunStatus) {
	s.Message = printable.Line(s.Message)
	for i := range s.Stages {
		st := &s.Stages[i]
		st.Reason, st.Message = printable.Line(st.Reason), printable.Line(st.Message)
	}
	for i := range s.Conditions {
		s.Conditions[i].Message = printable.Line(s.Conditions[i].Message)
	}
}
