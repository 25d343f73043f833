package run_test

import (
	"fmt"
	"reflect"
	"time"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/run"
)

// driver is a controller's process.
type driver struct {
	*world
	life  int
	cache time.Time     // what its cache knows of
	skew  time.Duration // of its clock
	busy  bool
	dirty bool
	fails int

	hint     bool
	taken    map[string]time.Time
	under    map[string]bool
	answers  map[string]run.Answer
	recorded bool
	next     time.Time // when it looks again
	observed time.Time // when it looked at commits last
}

// neverMade is why an attempt never can be made.
const neverMade = "somebody else's"

// forget is the beginning of a process.
func (d *driver) forget() {
	d.life++
	d.busy, d.dirty, d.hint, d.recorded, d.fails, d.next = false, false, false, false, 0, time.Time{}
	d.taken, d.under, d.answers = map[string]time.Time{}, map[string]bool{}, map[string]run.Answer{}
}

// later does something in this life of the driver, unless it dies before.
func (d *driver) later(most time.Duration, do func()) {
	life := d.life
	if d.chance(0.02) {
		d.log("a driver dies")
		d.forget()
		d.after(d.upTo(time.Minute), d.wake)
		return
	}
	takes := time.Millisecond
	if d.chance(0.3) {
		takes += d.upTo(most)
	}
	d.after(takes, func() {
		if d.life == life {
			do()
		}
	})
}

func (d *driver) clock() time.Time { return d.now.Add(d.skew) }

// lookAt has a pass made at a time, or before: as a queue does it keeps the earliest only.
func (d *driver) lookAt(t time.Time) {
	if !d.next.IsZero() && !t.Before(d.next) {
		return
	}
	d.next = t
	life := d.life
	d.after(t.Sub(d.now), func() {
		if d.life == life && d.next.Equal(t) {
			d.next = time.Time{}
			d.wake()
		}
	})
}

// wake has a pass made, one after the other.
func (d *driver) wake() {
	if d.busy {
		d.dirty = true
		return
	}
	d.busy = true
	d.later(time.Second, d.pass)
}

func (d *driver) end(failed bool) {
	d.busy = false
	if failed {
		d.fails++
		d.after(min(200*time.Millisecond<<min(d.fails, 8), 30*time.Second), d.wake)
	} else {
		d.fails = 0
	}
	if d.dirty {
		d.dirty = false
		d.wake()
	}
}

// pass observes, steps, writes and carries out.
func (d *driver) pass() {
	d.passes++
	if d.jumps && d.chance(0.03) { // clocks are set
		d.skew = d.upTo(4*time.Hour) - 2*time.Hour
	}
	if d.gone {
		d.end(false)
		return
	}
	read := d.stored()
	if d.chance(0.3) {
		read = d.at(d.cache)
	}
	seen, hint := d.observe(read), d.hint
	d.hint = false
	now := d.clock()
	d.lookAtCommits(read, &seen, now)
	var before *runtimev1.PipelineRun
	look := d.passes%8 == 0
	if look {
		before = read.DeepCopy()
	}
	status, actions := d.step(read, seen, now)
	if look && !reflect.DeepEqual(before, read) {
		d.fault("Step changes what it is given")
	}
	for _, a := range actions {
		x, ok := a.(run.StartAttempt)
		if ok && (read.Spec.Cancel && !x.Complete || read.Status.State.Done() || status.State.Done()) {
			d.fault("attempt %s starts after the end", x.Name)
		}
	}
	failed := func() {
		d.hint = d.hint || hint
		d.end(true)
	}
	d.later(2*time.Second, func() {
		if !reflect.DeepEqual(read.Status, status) {
			if d.chance(0.05) || d.write(d, read, status) != nil {
				failed()
				return
			}
		}
		d.carryOut(actions, failed)
	})
}

func (d *driver) observe(read *runtimev1.PipelineRun) run.Seen {
	s := run.Seen{
		Settings: run.Settings{
			Grace: grace, ImagePull: imagePull, Patience: d.patience,
			AttemptName: func(stage string, n int) string { return fmt.Sprint(stage, "-", n) },
		},
		Attempts: map[string]run.Attempt{}, Commits: map[string]run.Commit{}, Fences: map[string]run.Commit{},
		Answers: d.answers, Hint: d.hint, Taken: d.taken, Recorded: d.recorded,
		Delivered: !d.stores, Room: !d.now.Before(d.room),
	}
	if !d.away(d.now).IsZero() && d.chance(0.5) {
		s.StorageAway = d.clock()
	}
	switch {
	case d.now.Before(d.ready):
		s.Plan = &run.Plan{Wait: "it waits: for a box", Again: 5 * time.Second}
	case d.refused:
		s.Plan = &run.Plan{Refusal: "it is wrong"}
	default:
		s.Plan = &run.Plan{Stages: d.plan}
	}
	for _, st := range read.Status.Stages {
		a := d.attempt(st.Job)
		if st.State != runtimev1.Running || a == nil {
			continue
		}
		x := a.seen(d.cache)
		if x.Phase == run.Missing { // is asked for live
			x = a.seen(d.now)
		}
		s.Attempts[st.Job] = x
	}
	if read.Status.State.Done() {
		at := d.now
		if read.Status.Recorded {
			at = d.cache
		}
		for _, a := range d.attempts {
			if a.going(at) {
				s.Going = append(s.Going, a.name)
			}
		}
	}
	return s
}

// lookAtCommits asks storage what Step wants to know, and nothing as long as all is well.
func (d *driver) lookAtCommits(read *runtimev1.PipelineRun, seen *run.Seen, now time.Time) {
	d.observed = d.now
	for _, stage := range run.WantsCommits(read, *seen, now) {
		if d.quiet {
			d.fault("storage is asked for the commit of stage %s, which has not failed", stage)
		}
		seen.Commits[stage] = d.commitOf(stage)
	}
	for {
		wanted := run.WantsFences(read, *seen, now)
		if len(wanted) == 0 {
			return
		}
		for _, stage := range wanted {
			if d.quiet {
				d.fault("stage %s is to be closed, and nothing went wrong", stage)
				return
			}
			seen.Fences[stage] = d.fence(d.world, stage)
		}
	}
}

func (d *driver) commitOf(stage string) run.Commit {
	switch {
	case !d.away(d.now).IsZero() || d.chance(0.05):
		return run.Unknown
	case d.commits[stage].attempt > 0:
		return run.Committed
	}
	return run.NoCommit
}

// carryOut does what is left of a pass, one after the other.
func (d *driver) carryOut(actions []run.Action, failed func()) {
	if len(actions) == 0 {
		d.end(false)
		return
	}
	if d.chance(0.03) {
		failed()
		return
	}
	d.log("carried out: %T %+v", actions[0], actions[0])
	switch x := actions[0].(type) {
	case run.StartAttempt:
		if !d.away(d.now).IsZero() { // no session can be made
			failed()
			return
		}
		d.start(x)
	case run.StopAttempt:
		if a := d.attempt(x.Name); a != nil && a.going(d.now) {
			a.zombie = a.zombie || d.chance(0.5) // its node does not hear of it
			a.stop(d.now, d.upTo(20*time.Second))
			d.after(a.gone.Sub(d.now), d.changed)
		}
	case run.Announce:
		d.announce(x.Step.ID())
	case run.DropSessions:
		d.sessions = false
	case run.Record:
		if d.away(d.now).IsZero() && !d.chance(0.1) {
			d.world.recorded, d.recorded = true, true
		}
	case run.KeepHint:
		d.hint = true
	case run.Look:
		d.lookAt(d.now.Add(max(x.At.Sub(d.clock()), 10*time.Millisecond)))
	}
	d.later(time.Second, func() { d.carryOut(actions[1:], failed) })
}

func (d *driver) start(x run.StartAttempt) {
	switch {
	case x.Number > 1 && !x.Complete && d.commitOf(x.Stage) != run.NoCommit: // right before
	case d.chance(0.05):
		d.answers[x.Name] = run.Answer{Message: "it waits: for a box", Again: 5 * time.Second}
	case d.chance(0.05): //nolint:gocritic // it draws anew
		d.answers[x.Name] = run.Answer{Reason: "Forbidden", Message: "a quota", Again: 10 * time.Second}
	case d.chance(0.01):
		d.answers[x.Name] = run.Answer{ForGood: true, Message: neverMade}
	default:
		delete(d.answers, x.Name)
		d.make(x)
		return
	}
	d.after(0, d.wake)
}

// announce gives an event to the Broker, which may take it or not, lose it, deliver it late, twice,
// and out of order.
func (d *driver) announce(id string) {
	if d.under[id] {
		return
	}
	d.under[id] = true
	life := d.life
	takes := 10 * time.Millisecond
	switch {
	case d.slow > 0:
		takes = d.upTo(d.slow / 2)
	case d.chance(0.3):
		takes = d.upTo(time.Minute)
	}
	d.after(takes, func() {
		if d.chance(0.2) { // the Broker does not take it
			d.after(30*time.Second, func() {
				if d.life == life {
					delete(d.under, id)
					d.wake()
				}
			})
			return
		}
		if d.life == life {
			delete(d.under, id)
			d.taken[id] = d.clock()
			d.wake()
		}
		if d.chance(0.2) {
			return // lost
		}
		times := 1
		if d.chance(0.2) {
			times = 2
		}
		for range times {
			late := 10 * time.Millisecond
			switch {
			case d.slow > 0:
				late = d.upTo(d.slow / 2)
			case d.chance(0.3):
				late = d.upTo(2 * time.Minute)
			}
			d.after(late, d.world.hint)
		}
	})
}
