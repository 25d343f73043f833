package run_test

import (
	"time"

	"github.com/unip-knative/unip/eventing/run"
)

// commit of a stage.
type commit struct {
	attempt int
	at      time.Time
	closed  bool // there is none, and will be none
}

// attempt of a stage. What is seen of it at a time follows from its phases.
type attempt struct {
	name, stage string
	number      int
	phases      []run.Attempt // by Since
	stopped     time.Time     // frozen from then on
	gone        time.Time
	complete    bool // it only completes
	patience    time.Duration
	silent      time.Time // its node is lost: nothing more is heard of it
	zombie      bool      // goes on when nothing of it is seen any more
}

func (a *attempt) seen(t time.Time) run.Attempt {
	if !a.gone.IsZero() && !t.Before(a.gone) {
		return run.Attempt{Message: "it has gone"}
	}
	if !a.stopped.IsZero() && a.stopped.Before(t) {
		t = a.stopped
	}
	lost := a.lost(t)
	if lost {
		t = a.silent
	}
	var now run.Attempt
	for _, p := range a.phases {
		if p.Since.After(t) {
			break
		}
		now = p
	}
	if now.Complete = a.complete; lost {
		now.LostAt = a.silent.Add(lostAfter)
	}
	return now
}

// lostAfter is when a node that says no more is taken for lost.
const lostAfter = 100 * time.Second

func (a *attempt) lost(t time.Time) bool { return !a.silent.IsZero() && t.After(a.silent) }

func (a *attempt) going(t time.Time) bool {
	if !a.stopped.IsZero() && !t.Before(a.stopped) {
		return false
	}
	p := a.seen(t).Phase
	return p != run.Missing && p != run.Ended
}

func (a *attempt) stop(now time.Time, takes time.Duration) {
	if a.going(now) {
		a.stopped, a.gone = now, now.Add(takes)
	}
}

func (w *world) attempt(name string) *attempt {
	for i := len(w.attempts) - 1; i >= 0; i-- {
		if w.attempts[i].name == name {
			return w.attempts[i]
		}
	}
	return nil
}

// make makes an attempt, unless it is there, and decides what becomes of it.
func (w *world) make(x run.StartAttempt) {
	if old := w.attempt(x.Name); w.gone || old != nil && old.seen(w.now).Phase != run.Missing {
		return
	}
	w.sessions = true
	for _, st := range w.plan {
		for _, n := range st.Needs {
			if st.Name == x.Stage && w.commits[n].attempt == 0 {
				w.fault("stage %s starts, and %s has not ended", x.Stage, n)
			}
		}
	}
	for _, a := range w.attempts {
		if a.stage == x.Stage && a.name != x.Name && a.going(w.now) {
			w.fault("attempt %d of stage %s starts while attempt %d goes on", x.Number, x.Stage, a.number)
		}
	}
	switch c := w.commits[x.Stage]; {
	case c.attempt > 0 && !x.Complete:
		w.fault("attempt %d of stage %s runs the user's code, and attempt %d has committed at %s", x.Number, x.Stage,
			c.attempt, c.at.Sub(epoch))
	case c.attempt == 0 && x.Complete:
		w.fault("attempt %d of stage %s completes what is not there", x.Number, x.Stage)
	}
	a := &attempt{name: x.Name, stage: x.Stage, number: x.Number, complete: x.Complete, patience: x.Patience}
	w.attempts = append(w.attempts, a)
	w.fate(a)
	for _, p := range a.phases {
		w.after(p.Since.Sub(w.now), w.changed)
	}
	if w.chance(0.1) {
		w.after(w.upTo(5*time.Minute), func() { // somebody deletes it, or its node dies
			a.zombie = w.chance(0.5)
			a.stop(w.now, w.upTo(time.Minute))
			w.after(a.gone.Sub(w.now), w.changed)
		})
	}
	if w.chance(0.1) {
		w.after(w.upTo(2*time.Minute), func() { w.lose(a) })
	}
}

// lose takes an attempt's node away. It comes back some time, and may bring a commit along.
func (w *world) lose(a *attempt) {
	if !a.going(w.now) {
		return
	}
	a.silent, a.zombie = w.now, w.chance(0.7)
	worked := a.seen(w.now).Phase >= run.Working
	w.after(lostAfter, w.changed)
	if w.chance(0.3) {
		return // for ever
	}
	w.after(w.upTo(20*time.Minute), func() {
		if worked && a.zombie {
			w.commit(a)
		}
		a.stop(w.now, 0)
		w.changed()
	})
}

// fate decides the phases of an attempt.
func (w *world) fate(a *attempt) {
	t := w.now
	add := func(d time.Duration, p run.Attempt) {
		t = t.Add(d)
		p.Since, p.Made = t, w.now
		a.phases = append(a.phases, p)
	}
	end := func(d time.Duration, part run.Part, p run.Attempt) {
		p.Phase, p.Part = run.Ended, part
		add(d, p)
	}
	add(0, run.Attempt{Phase: run.Made})
	if w.chance(0.1) {
		add(time.Second, run.Attempt{Phase: run.Unplaced, Reason: "Unschedulable", Message: "no room"})
		t = t.Add(w.upTo(3 * time.Minute))
	}
	if w.chance(0.1) {
		p := run.Attempt{Phase: run.Blocked, Part: run.Part(1 + w.IntN(3)), ImagePull: w.chance(0.5),
			Hopeless: w.chance(0.1), Message: "no"}
		add(time.Second, p)
		if w.chance(0.5) {
			return // for ever
		}
		t = t.Add(w.upTo(4 * time.Minute))
	}
	if w.chance(0.05) {
		end(time.Second, run.Pod, run.Attempt{Cause: run.Cause(w.IntN(6)), Disrupted: w.chance(0.3),
			Message: "the node"})
		return
	}
	// transfer waits for storage.
	transfer := func(part run.Part, phase run.Phase) bool {
		add(time.Second, run.Attempt{Phase: phase, Part: part})
		wait := w.away(t).Sub(t)
		if wait > a.patience {
			end(a.patience, part, run.Attempt{ExitCode: 3, Retry: true, Message: "no answer", Waited: a.patience})
			return false
		}
		t = t.Add(max(wait, 0))
		return true
	}
	if a.complete {
		if !transfer(run.Publish, run.Publishing) {
			return
		}
		if w.chance(0.2) {
			end(time.Second, run.Publish, run.Attempt{ExitCode: 137})
			return
		}
		end(time.Second, run.Publish, run.Attempt{Files: 1, Bytes: 1})
		return
	}
	if !transfer(run.Fetch, run.Fetching) {
		return
	}
	if w.chance(0.1) {
		add(time.Second, run.Attempt{Phase: run.Blocked, Part: run.Function, ImagePull: true, Message: "no"})
		t = t.Add(w.upTo(4 * time.Minute))
	}
	if w.chance(0.1) {
		end(time.Second, run.Fetch, run.Attempt{ExitCode: 1, Retry: w.chance(0.5), Message: "no file"})
		return
	}
	add(time.Second, run.Attempt{Phase: run.Working, Part: run.Function})
	work := time.Second + w.upTo(2*time.Minute)
	switch {
	case w.chance(0.05):
		return // for ever
	case w.chance(0.15):
		end(work, run.Function, run.Attempt{ExitCode: 1, Cause: run.Cause(w.IntN(3)), Disrupted: w.chance(0.2),
			Message: "ValueError"})
		return
	case w.chance(0.1): // its node kills it, and says so a second later
		end(work, run.Function, run.Attempt{ExitCode: 137, SettledAt: t.Add(work + 10*time.Second)})
		end(time.Second, run.Pod, run.Attempt{Cause: run.Lost, Disrupted: true, Message: "low on memory"})
		return
	}
	t = t.Add(work - time.Second)
	if !transfer(run.Publish, run.Publishing) {
		return
	}
	if w.chance(0.1) {
		end(time.Second, run.Publish, run.Attempt{ExitCode: 1, Retry: w.chance(0.5), BoxFull: w.chance(0.3),
			Message: "full"})
		return
	}
	w.after(t.Add(500*time.Millisecond).Sub(w.now), func() { w.commit(a) })
	if w.chance(0.1) { // killed after its commit
		end(time.Second, run.Publish, run.Attempt{ExitCode: 137, Reason: "OOMKilled"})
		return
	}
	end(time.Second, run.Publish, run.Attempt{Files: 1, Bytes: 1})
}

// commit is publish's: the first attempt wins, unless the stage was closed before. Then come the
// copies. A publish may outlive its Job.
func (w *world) commit(a *attempt) {
	if !a.alive(w.now) {
		return
	}
	if c := w.commits[a.stage]; c.attempt == 0 && !c.closed {
		w.log("attempt %d of stage %s commits", a.number, a.stage)
		w.visible(a.stage, "its commit")
		w.commits[a.stage] = commit{attempt: a.number, at: w.now}
	}
	if !w.commits[a.stage].closed {
		w.after(w.upTo(400*time.Millisecond), func() {
			if a.alive(w.now) {
				w.visible(a.stage, "a copy")
			}
		})
	}
}

// alive reports an attempt whose processes run, as far as anybody knows or not.
func (a *attempt) alive(t time.Time) bool {
	return a.zombie || (a.stopped.IsZero() || t.Before(a.stopped)) && (a.silent.IsZero() || t.Before(a.silent))
}

// closeCommit closes the commit of a stage that has none.
func closeCommit(w *world, stage string) run.Commit {
	switch c := w.commits[stage]; {
	case !w.away(w.now).IsZero() || w.chance(0.05):
		return run.Unknown
	case c.attempt > 0:
		return run.Committed
	case !c.closed:
		w.log("stage %s is closed", stage)
		w.commits[stage] = commit{closed: true, at: w.now}
	}
	if w.chance(0.05) { // the answer is lost
		return run.Unknown
	}
	return run.NoCommit
}
