package run_test

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/run"
)

// judge looks at the world's end.
func (w *world) judge() {
	s := w.stored().Status
	switch {
	case !s.State.Done():
		w.fault("nothing more happens, and the run is %s: %+v", s.State, s.Stages)
	case !w.cancelAt.IsZero() && s.State != runtimev1.Cancelled && s.CompletionTime.Sub(w.cancelAt) > 4*time.Hour:
		w.fault("it was cancelled at %s and is %s at %s", w.cancelAt.Sub(epoch), s.State, s.CompletionTime.Sub(epoch))
	case !s.Recorded:
		w.fault("the run is not recorded")
	}
	for _, a := range w.attempts {
		if a.going(w.now) {
			w.fault("the run has ended, and attempt %s goes on", a.name)
		}
	}
	if !w.quiet {
		return
	}
	for _, c := range s.Conditions {
		if c.Type == run.ConditionEventsLost && w.slow < grace {
			w.fault("no event was lost: %s", c.Message)
		}
	}
	if s.State != runtimev1.Succeeded || len(s.Published) != len(s.Stages)+2 || w.sessions ||
		w.passes > 60+30*len(s.Stages) {
		w.fault("nothing went wrong: %s %s, events %v, sessions %v, %d passes", s.State, s.Message, s.Published,
			w.sessions, w.passes)
	}
}

// judgeEnd looks at the end of a run: storage has closed what has begun and has not succeeded.
func (w *world) judgeEnd(s runtimev1.PipelineRunStatus) {
	for _, st := range s.Stages {
		c := w.commits[st.Name]
		if st.Attempt > 0 && st.State != runtimev1.Succeeded && (!c.closed || c.attempt > 0) && !w.givenUp(st) {
			w.fault("the run ends, and stage %s, which is %s, is closed: %t, and has a commit: %t", st.Name, st.State,
				c.closed, c.attempt > 0)
		}
	}
}

// givenUp reports a stage that may end whatever storage has of it: patience is over, or its copies
// can never be completed.
func (w *world) givenUp(st runtimev1.StageStatus) bool {
	return w.patienceOver(st.Name) ||
		st.Reason == run.ReasonNotStarted && st.Message == neverMade && w.commits[st.Name].attempt > 0
}

// patienceOver reports a stage that has waited so long that it may end whatever storage has of it.
func (w *world) patienceOver(stage string) bool {
	const written = 5 * time.Second // so much later than the driver has seen it
	since := w.waits[stage]
	return !since.IsZero() && (w.jumps || w.now.Sub(since) >= w.patience-written)
}

// visible looks at a stage of which something becomes visible.
func (w *world) visible(stage, what string) {
	s := w.stored().Status
	if !s.State.Done() || w.gone {
		return
	}
	for _, st := range s.Stages {
		if st.Name == stage && st.State != runtimev1.Succeeded && !w.givenUp(st) {
			w.fault("the run is %s, its stage %s is %s, and %s becomes visible", s.State, stage, st.State, what)
		}
	}
}

// judgeStage looks at what is written of a stage. A stage fails when it has failed by its own doing
// more often than its retries allow, when it has waited longer than patience allows, or when an
// attempt can never be made.
func (w *world) judgeStage(d *driver, was, st runtimev1.StageStatus) {
	if st.WaitingSince != nil && w.waits[st.Name].IsZero() {
		w.waits[st.Name] = w.now
	}
	if ended := w.attempt(was.Job); ended != nil && was.State == runtimev1.Running {
		w.countWait(ended)
	}
	retries := int(st.Spec.Retries)
	most := 8 + retries + 2*int(w.patience/(30*time.Second))
	waited := w.now.Sub(w.waits[st.Name])
	longest := w.patience + 5*time.Minute
	if st.State == runtimev1.Running { // its attempt has its own time besides
		longest += w.patience + 8*time.Minute
	}
	switch {
	case st.Failures > retries+1:
		w.fault("stage %s has failed by itself %d times, with %d retries", st.Name, st.Failures, retries)
	case st.Attempt > most && !w.jumps:
		w.fault("attempt %d of stage %s, which has at most %d", st.Attempt, st.Name, most)
	case !w.jumps && !st.State.Done() && st.WaitingSince != nil &&
		w.now.Sub(st.WaitingSince.Time) > longest:
		w.fault("stage %s waits longer than patience allows, since %s", st.Name, st.WaitingSince.Sub(epoch))
	case !w.jumps && w.vain(st.Name) > w.patience+2*time.Minute:
		w.fault("attempts of stage %s have waited for storage for %s, and patience is %s", st.Name, w.vain(st.Name),
			w.patience)
	}
	defer func() {
		if was.State != runtimev1.Failed {
			w.judgeFailure(d, st, waited)
		}
	}()
	if was.State != runtimev1.Running || st.State != runtimev1.Pending && st.State != runtimev1.Failed {
		return
	}
	if a := w.attempt(was.Job); a != nil {
		now := a.seen(w.now)
		lost := !now.LostAt.IsZero() && w.now.After(now.LostAt)
		if !lost && (isOwn(a.seen(d.cache), st.Reason) || isOwn(now, st.Reason)) {
			w.own[st.Name]++
		}
		if blocked := w.now.Sub(now.Since); now.Phase == run.Blocked && !lost && !now.Hopeless && !w.jumps &&
			st.Reason != run.ReasonPodLost && st.Message != neverMade && blocked < imagePull {
			w.fault("attempt %s is given up (%s) after %s", a.name, st.Reason, blocked)
		}
	}
}

// countWait notes since when a stage waits whose attempt has waited for storage in vain.
func (w *world) countWait(a *attempt) {
	end := a.seen(w.now)
	since, known := end.Since.Add(-end.Waited), w.waits[a.stage]
	if end.Waited > 0 && (known.IsZero() || since.Before(known)) {
		w.waits[a.stage] = since
	}
}

// vain is how long attempts of a stage have waited for storage in vain.
func (w *world) vain(stage string) (sum time.Duration) {
	for _, a := range w.attempts {
		if a.stage == stage {
			sum += a.seen(w.now).Waited
		}
	}
	return sum
}

// forNothing counts the attempts of a stage whose container has run and whose publish has then
// failed, though not by the stage's doing.
func (w *world) forNothing(stage string) (n int) {
	for _, a := range w.attempts {
		end := a.seen(w.now)
		if a.stage == stage && !a.complete && end.Phase == run.Ended && end.Part == run.Publish && end.ExitCode != 0 &&
			(end.Retry || end.Message == "") {
			n++
		}
	}
	return n
}

func (w *world) judgeFailure(d *driver, st runtimev1.StageStatus, waited time.Duration) {
	committed := w.commits[st.Name]
	forGood := st.Reason == run.ReasonNotStarted && st.Message == neverMade
	switch {
	case st.State != runtimev1.Failed || forGood || w.patienceOver(st.Name) || w.forNothing(st.Name) > 5:
	case committed.attempt > 0 && committed.at.Before(d.observed):
		w.fault("stage %s has a commit since %s, and fails: %s", st.Name, committed.at.Sub(epoch), st.Message)
	case !w.jumps && w.own[st.Name] <= int(st.Spec.Retries):
		w.fault("stage %s fails (%s: %s) after %d failures of its own and %s of waiting", st.Name, st.Reason, st.Message,
			w.own[st.Name], waited)
	}
}

// isOwn reports an attempt that has failed, for this reason, by the stage's own doing.
func isOwn(a run.Attempt, reason string) bool {
	switch {
	case a.Phase == run.Working:
		return reason == run.ReasonDeadlineExceeded
	case a.Phase == run.Blocked:
		return a.Part == run.Function
	case a.Phase != run.Ended || a.Disrupted || !a.SettledAt.IsZero():
		return false
	case a.Part == run.Pod:
		return a.Cause == run.Evicted || a.Cause == run.OverDeadline
	case a.Part == run.Function:
		return true
	}
	return a.ExitCode != 0 && !a.Retry && a.Message != ""
}

// goesBack says what of a status was further before.
func goesBack(a, b runtimev1.PipelineRunStatus) string {
	rank := map[runtimev1.State]int{"": 0, runtimev1.Pending: 1, runtimev1.Running: 2}
	order := func(s runtimev1.State) int {
		if s.Done() {
			return 3
		}
		return rank[s]
	}
	switch {
	case order(b.State) < order(a.State), a.State.Done() && a.State != b.State:
		return fmt.Sprintf("%s after %s", b.State, a.State)
	case a.CompletionTime != nil && !reflect.DeepEqual(a.CompletionTime, b.CompletionTime), a.Recorded && !b.Recorded:
		return "its end"
	case len(a.Stages) > 0 && len(a.Stages) != len(b.Stages):
		return "stages"
	}
	for i, x := range a.Stages {
		y := b.Stages[i]
		switch {
		case x.State.Done() && (x.State != y.State || x.Attempt != y.Attempt):
			return fmt.Sprintf("stage %s was %s", x.Name, x.State)
		case y.Attempt < x.Attempt || y.Attempt > x.Attempt+1:
			return fmt.Sprintf("stage %s: attempt %d after %d", x.Name, y.Attempt, x.Attempt)
		case y.Attempt == x.Attempt && x.State == runtimev1.Pending && y.State == runtimev1.Running:
			return fmt.Sprintf("stage %s: attempt %d again", x.Name, y.Attempt)
		case y.Failures < x.Failures, y.WaitedSeconds < x.WaitedSeconds, y.RanAttempt < x.RanAttempt:
			return fmt.Sprintf("stage %s: its counts", x.Name)
		case y.Attempt == x.Attempt && x.StartTime != nil && (y.StartTime == nil || !x.StartTime.Equal(y.StartTime)):
			return fmt.Sprintf("stage %s: its start", x.Name)
		}
	}
	for _, id := range a.Published {
		if !slices.Contains(b.Published, id) {
			return "published"
		}
	}
	return ""
}
