package run

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// startDue asks for the attempts that are due: of a stage whose needs have succeeded, once the
// event came that says so, or when it has not come within the grace period.
func (x *step) startDue() {
	for i := range x.status.Stages {
		st := &x.status.Stages[i]
		if st.State != runtimev1.Pending || isOver(st) || !x.needsSucceeded(st) {
			continue
		}
		if st.DueTime == nil {
			st.DueTime = &metav1.MicroTime{Time: x.now}
		}
		if !UnderWay(&x.status) && !x.mayBegin() {
			return
		}
		at, late := x.mayStartAt(st)
		if x.now.Before(at) {
			x.lookAt(at)
			continue
		}
		if st.Attempt > 0 && x.commit(st) == Unknown {
			continue
		}
		if late {
			x.setCondition(metav1.Condition{
				Type: ConditionEventsLost, Status: metav1.ConditionTrue, Reason: "GracePeriodOver",
				Message: fmt.Sprintf("stage %s was started without its event: none came in time", st.Name),
			})
		}
		x.askForAttempt(st)
	}
}

// mayBegin lets the run begin if its pipeline's limit does. If not, it costs nothing from here on:
// whoever admits runs calls it, which is as good as an event.
func (x *step) mayBegin() bool {
	waited := meta.FindStatusCondition(x.status.Conditions, ConditionAdmitted)
	switch {
	case !x.seen.Room:
		x.status.Message = "it waits for other runs of the pipeline (max-parallel-runs)"
		x.setCondition(metav1.Condition{
			Type: ConditionAdmitted, Status: metav1.ConditionFalse, Reason: "MaxParallelRuns",
		})
		x.look = time.Time{}
		return false
	case waited != nil:
		x.status.Message, x.admitted = "", true
		x.setCondition(metav1.Condition{Type: ConditionAdmitted, Status: metav1.ConditionTrue, Reason: "Admitted"})
	}
	return true
}

func (x *step) needsSucceeded(st *runtimev1.StageStatus) bool {
	return !slices.ContainsFunc(st.Needs, func(n string) bool { return x.stage(n).State != runtimev1.Succeeded })
}

func (x *step) stage(name string) *runtimev1.StageStatus {
	i := slices.IndexFunc(x.status.Stages, func(s runtimev1.StageStatus) bool { return s.Name == name })
	return &x.status.Stages[i] // needs are made of stages' names
}

// mayStartAt is when a stage that is due may start, and whether that is without its event. A due
// time that no clock can have given, for it lies too far ahead, holds nothing up: the clock was set
// back.
func (x *step) mayStartAt(st *runtimev1.StageStatus) (at time.Time, late bool) {
	due := st.DueTime.Time
	switch {
	case st.Attempt > 0 && due.After(x.now.Add(maxPause)):
		return x.now, false
	case st.Attempt > 0:
		return due, false
	case x.seen.Hint || x.admitted || due.After(x.now):
		return x.now, false
	}
	var last time.Time // of the events, any of which may be the late one
	for _, id := range x.causes(st) {
		taken, ok := x.seen.Taken[id]
		if !ok {
			last = time.Time{} // it may still be on its way to the Broker
			break
		}
		if taken.After(last) {
			last = taken
		}
	}
	return Overdue(due, last, x.seen.Grace, x.seen.Delivered), true
}

// Overdue is from when on what is due is done without its event: a stage, or what an upload starts.
// taken is when the Broker took the event, zero as long as that is not known. Delivered means a
// Broker that answers only after its subscribers have: what it has taken has come, or never will.
// What any other one has taken is stored, and may come at any time of the grace period.
func Overdue(due, taken time.Time, grace time.Duration, delivered bool) time.Time {
	at := due.Add(grace)
	known := taken.Add(GraceTaken)
	if delivered && !taken.IsZero() && known.After(due) && known.Before(at) {
		return known
	}
	return at
}

// askForAttempt marks the next attempt of a stage as running and has it started.
func (x *step) askForAttempt(st *runtimev1.StageStatus) {
	st.State, st.Attempt = runtimev1.Running, st.Attempt+1
	st.Job = x.seen.AttemptName(st.Name, st.Attempt)
	st.StartTime, st.CompletionTime, st.ExitCode = nil, nil, nil
	x.start(st)
}

// start has an attempt made. The one before is stopped first, for a crash may have come before it
// was.
func (x *step) start(st *runtimev1.StageStatus) {
	if st.Attempt > 1 {
		x.starts = append(x.starts, StopAttempt{Name: x.seen.AttemptName(st.Name, st.Attempt-1)})
		if st.RanAttempt == 0 && x.commit(st) == Committed {
			st.RanAttempt = st.Attempt - 1
		}
	}
	x.starts = append(x.starts, StartAttempt{
		Stage: st.Name, Number: st.Attempt, Name: st.Job, Complete: st.RanAttempt > 0,
		Patience: max(x.seen.Patience-x.waited(st), leastPatience),
	})
}
