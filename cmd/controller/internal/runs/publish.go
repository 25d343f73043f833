package runs

import (
	"slices"
	"time"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/events"
)

// steps are the events of what has happened to the run so far.
func (p *pass) steps() []events.Step {
	s := &p.run.Status
	var all []events.Step
	if len(s.Stages) > 0 {
		all = append(all, p.requested())
	}
	for i := range s.Stages {
		if st := &s.Stages[i]; st.State == runtimev1.Succeeded || st.State == runtimev1.Failed {
			all = append(all, p.ofStage(st))
		}
	}
	types := map[runtimev1.State]string{runtimev1.Succeeded: events.RunSucceeded, runtimev1.Failed: events.RunFailed, runtimev1.Cancelled: events.RunCancelled}
	if t, ok := types[s.State]; ok {
		x := p.event(t)
		x.Time = s.CompletionTime.Time
		x.Data = events.StepData{State: string(s.State), Message: s.Message, User: p.run.Spec.User, Outputs: s.Outputs}
		if s.StartTime != nil {
			x.Data.Seconds = x.Time.Sub(s.StartTime.Time).Seconds()
		}
		all = append(all, x)
	}
	return all
}

func (p *pass) event(t string) events.Step {
	return events.Step{Type: t, Namespace: p.run.Namespace, Pipeline: p.run.Spec.Pipeline, Run: p.run.Name, RunUID: string(p.run.UID)}
}

func (p *pass) requested() events.Step {
	x := p.event(events.RunRequested)
	x.Time = p.run.CreationTimestamp.Time
	x.Data = events.StepData{State: string(runtimev1.Pending), User: p.run.Spec.User}
	return x
}

func (p *pass) ofStage(st *runtimev1.StageStatus) events.Step {
	x := p.event(events.StageSucceeded)
	if st.State == runtimev1.Failed {
		x.Type = events.StageFailed
	}
	x.Stage, x.Attempt = st.Name, st.Attempt
	x.Data = events.StepData{State: string(st.State), Message: st.Message, Attempt: st.Attempt, ExitCode: st.ExitCode}
	if st.CompletionTime != nil {
		x.Time = st.CompletionTime.Time
		if st.StartTime != nil {
			x.Data.Seconds = x.Time.Sub(st.StartTime.Time).Seconds()
		}
	}
	return x
}

// publish gives to the Broker what it has not taken yet. The status has been written: nothing is told that could still be otherwise.
func (p *pass) publish() {
	if done := p.run.Status.CompletionTime; done != nil && p.now.Sub(done.Time) > publishFor {
		return
	}
	for _, s := range p.steps() {
		id := s.ID()
		if slices.Contains(p.run.Status.Published, id) || !p.memory.publishing(p.key, id, p.now) {
			continue
		}
		e, err := s.Event()
		if err == nil {
			key := p.key
			err = p.Broker.Publish(p.run.Namespace, e, func(err error) {
				p.memory.publishedNow(key, id, err, time.Now())
				p.look(key)
			})
		}
		if err != nil {
			p.memory.publishedNow(p.key, id, err, p.now)
			p.lookAt(p.now.Add(publishAgain))
		}
	}
}

// published takes into the status which events the Broker has taken, and reports whether some are missing that are still tried.
func (p *pass) published() (missing bool) {
	s := &p.run.Status
	for _, x := range p.steps() {
		id := x.ID()
		if slices.Contains(s.Published, id) {
			continue
		}
		if p.memory.publishedAt(p.key, id).IsZero() {
			missing = true
			continue
		}
		s.Published = append(s.Published, id)
	}
	return missing && p.now.Sub(s.CompletionTime.Time) <= publishFor
}
