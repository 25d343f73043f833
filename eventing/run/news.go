package run

import (
	"slices"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/events"
)

// news are the events of what has happened to the run so far.
func (x *step) news() []events.Step {
	s := &x.status
	var all []events.Step
	if len(s.Stages) > 0 {
		all = append(all, x.requested())
	}
	for i := range s.Stages {
		if st := &s.Stages[i]; st.State == runtimev1.Succeeded || st.State == runtimev1.Failed {
			all = append(all, x.ofStage(st))
		}
	}
	types := map[runtimev1.State]string{
		runtimev1.Succeeded: events.RunSucceeded, runtimev1.Failed: events.RunFailed,
		runtimev1.Cancelled: events.RunCancelled,
	}
	if t := types[s.State]; t != "" {
		e := x.event(t)
		e.Time = s.CompletionTime.Time
		e.Data = events.StepData{State: string(s.State), Message: s.Message, User: x.run.Spec.User, Outputs: s.Outputs}
		if s.StartTime != nil {
			e.Data.Seconds = e.Time.Sub(s.StartTime.Time).Seconds()
		}
		all = append(all, e)
	}
	return all
}

func (x *step) event(t string) events.Step {
	r := x.run
	return events.Step{Type: t, Namespace: r.Namespace, Pipeline: r.Spec.Pipeline, Run: r.Name, RunUID: string(r.UID)}
}

func (x *step) requested() events.Step {
	e := x.event(events.RunRequested)
	e.Time = x.run.CreationTimestamp.Time
	e.Data = events.StepData{State: string(runtimev1.Pending), User: x.run.Spec.User}
	return e
}

func (x *step) ofStage(st *runtimev1.StageStatus) events.Step {
	e := x.event(events.StageSucceeded)
	if st.State == runtimev1.Failed {
		e.Type = events.StageFailed
	}
	e.Stage, e.Attempt = st.Name, st.Attempt
	e.Data = events.StepData{State: string(st.State), Message: st.Message, Attempt: st.Attempt, ExitCode: st.ExitCode}
	if st.CompletionTime != nil {
		e.Time = st.CompletionTime.Time
		if st.StartTime != nil {
			e.Data.Seconds = e.Time.Sub(st.StartTime.Time).Seconds()
		}
	}
	return e
}

// causes are the ids of the events that say that a stage is due.
func (x *step) causes(st *runtimev1.StageStatus) []string {
	if len(st.Needs) == 0 {
		return []string{x.requested().ID()}
	}
	var ids []string
	for _, n := range st.Needs {
		ids = append(ids, x.ofStage(x.stage(n)).ID())
	}
	return ids
}

// announcements are the events that the Broker is not known to have taken. Of a run that has ended
// long ago there are none.
func (x *step) announcements() []Action {
	if done := x.status.CompletionTime; done != nil && x.now.Sub(done.Time) > TellFor {
		return nil
	}
	var all []Action
	for _, e := range x.news() {
		if !x.told(e.ID()) {
			all = append(all, Announce{Step: e})
		}
	}
	return all
}

func (x *step) told(id string) bool {
	_, taken := x.seen.Taken[id]
	return taken || slices.Contains(x.status.Published, id)
}

// takePublished writes down which events the Broker has taken, and reports whether some are
// missing.
func (x *step) takePublished() (missing bool) {
	s := &x.status
	for _, e := range x.news() {
		id := e.ID()
		switch {
		case slices.Contains(s.Published, id):
		case x.told(id):
			s.Published = append(s.Published, id)
		default:
			missing = true
		}
	}
	return missing
}
