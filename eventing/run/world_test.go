package run_test

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/run"
)

// stepper is run.Step, or one with a mistake in it.
type stepper func(*runtimev1.PipelineRun, run.Seen, time.Time) (runtimev1.PipelineRunStatus, []run.Action)

// world is everything around one run: its stored object, its attempts, storage, a Broker, and the
// drivers that step it. What happens is decided by the seed alone.
type world struct {
	*rand.Rand
	step stepper
	// quiet: nothing goes wrong in it.
	quiet bool
	now   time.Time
	queue queue
	order int

	versions []version
	gone     bool
	plan     []runtimev1.StageStatus
	attempts []*attempt
	commits  map[string]commit // by stage
	outages  []span            // of storage
	patience time.Duration
	jumps    bool                 // clocks do
	waits    map[string]time.Time // by stage: since when it waits, as far as the world knows
	own      map[string]int       // by stage: attempts that failed by its own doing
	recorded bool
	sessions bool
	cancelAt time.Time
	calm     time.Time // when faults end
	ready    time.Time // when the boxes of the plan are
	room     time.Time // when there is room for the run
	refused  bool      // the plan is
	drivers  []*driver
	passes   int
	wrong    []string
	trace    func(format string, args ...any) // of a seed that is run alone
}

// commit of a stage.
type commit struct {
	attempt int
	at      time.Time
}

type span struct{ from, to time.Time }

// away is until when storage does not answer; zero: it does.
func (w *world) away(t time.Time) time.Time {
	for _, o := range w.outages {
		if !t.Before(o.from) && t.Before(o.to) {
			return o.to
		}
	}
	return time.Time{}
}

type version struct {
	at  time.Time
	run *runtimev1.PipelineRun
}

type happening struct {
	at    time.Time
	order int
	do    func()
}

type queue []happening

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(happening)) } // heap's own
func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	chaosLasts = 20 * time.Minute
	// horizon is when a world is given up; the longest of runs that end need about a tenth of it.
	horizon = 96 * time.Hour
	timeout = 10 * time.Minute
	// imagePull is how long a container may be impossible to make.
	imagePull = 5 * time.Minute
)

func (w *world) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.queue, happening{w.now.Add(max(d, 0)), w.order, do})
}

func (w *world) fault(format string, args ...any) {
	if len(w.wrong) < 10 {
		w.wrong = append(w.wrong, fmt.Sprintf("%s: %s", w.now.Sub(epoch), fmt.Sprintf(format, args...)))
	}
}

// chance is false in a quiet world and once faults have ended.
func (w *world) chance(p float64) bool {
	return !w.quiet && w.now.Before(w.calm) && w.Float64() < p
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.Int64N(int64(d))) }

func newWorld(seed uint64, step stepper) *world {
	w := &world{
		Rand: rand.New(rand.NewPCG(seed, 1)), step: step, quiet: seed%8 == 0, now: epoch, commits: map[string]commit{},
		calm: epoch.Add(chaosLasts), ready: epoch, room: epoch, patience: 2 * time.Hour, waits: map[string]time.Time{},
		own: map[string]int{},
	}
	w.jumps = w.chance(0.3)
	if w.chance(0.2) {
		w.patience = 5 * time.Minute
	}
	for range 2 {
		if w.chance(0.3) {
			from := epoch.Add(w.upTo(chaosLasts))
			w.outages = append(w.outages, span{from, from.Add(w.upTo(20 * time.Minute))})
		}
	}
	w.plan = w.stages()
	r := &runtimev1.PipelineRun{Spec: runtimev1.PipelineRunSpec{Pipeline: "p"}}
	r.Namespace, r.Name, r.UID, r.CreationTimestamp = "ns", "r", "uid", metav1.Time{Time: epoch}
	w.versions = []version{{epoch, r}}
	w.refused = w.chance(0.02)
	if w.chance(0.2) {
		w.ready = epoch.Add(w.upTo(time.Minute))
	}
	if w.chance(0.2) {
		w.room = epoch.Add(w.upTo(10 * time.Minute))
		w.after(w.room.Sub(epoch), w.changed) // the run is called
	}
	n := 1
	if w.chance(0.3) {
		n = 2
	}
	for range n {
		d := &driver{world: w}
		d.forget()
		w.drivers = append(w.drivers, d)
		w.after(0, d.wake)
	}
	if w.chance(0.4) {
		w.after(w.upTo(chaosLasts), w.cancel)
	}
	if w.chance(0.05) {
		w.after(w.upTo(chaosLasts), w.remove)
	}
	if w.chance(0.3) { // a stranger's events
		for range 5 {
			w.after(w.upTo(chaosLasts), func() { w.hint() })
		}
	}
	return w
}

// stages are one to five, each needing some of those before it.
func (w *world) stages() []runtimev1.StageStatus {
	var all []runtimev1.StageStatus
	for i := range 1 + w.IntN(5) {
		st := runtimev1.StageStatus{
			Name: fmt.Sprint("s", i),
			Spec: runtimev1.Stage{Retries: w.Int32N(3), TimeoutSeconds: int64(timeout / time.Second)},
		}
		for j := range i {
			if w.IntN(2) == 0 {
				st.Needs = append(st.Needs, fmt.Sprint("s", j))
			}
		}
		all = append(all, st)
	}
	return all
}

// live is the world until nothing more happens.
func (w *world) live() {
	for len(w.queue) > 0 && len(w.wrong) == 0 {
		h := heap.Pop(&w.queue).(happening) // nothing else is in it
		w.now = h.at
		if w.now.Sub(epoch) > horizon || w.passes > 20_000 {
			w.fault("it goes on for ever")
			return
		}
		h.do()
	}
	if len(w.wrong) == 0 && !w.gone {
		w.judge()
	}
}

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
		if c.Type == run.ConditionEventsLost {
			w.fault("no event was lost: %s", c.Message)
		}
	}
	if s.State != runtimev1.Succeeded || len(s.Published) != len(s.Stages)+2 || w.sessions ||
		w.passes > 60+30*len(s.Stages) {
		w.fault("nothing went wrong: %s %s, events %v, sessions %v, %d passes", s.State, s.Message, s.Published,
			w.sessions, w.passes)
	}
}

func (w *world) stored() *runtimev1.PipelineRun { return w.versions[len(w.versions)-1].run }

// at is the version of the run that was stored at a time.
func (w *world) at(t time.Time) *runtimev1.PipelineRun {
	for i := len(w.versions) - 1; i > 0; i-- {
		if !w.versions[i].at.After(t) {
			return w.versions[i].run
		}
	}
	return w.versions[0].run
}

func (w *world) store(r *runtimev1.PipelineRun) {
	r.ResourceVersion = fmt.Sprint(len(w.versions))
	w.versions = append(w.versions, version{w.now, r})
	w.changed()
}

func (w *world) log(format string, args ...any) {
	if w.trace != nil {
		w.trace("%12s "+format, append([]any{w.now.Sub(epoch)}, args...)...)
	}
}

var errConflict = errors.New("conflict")

// write stores a driver's status if the run is still as the driver read it.
func (w *world) write(d *driver, read *runtimev1.PipelineRun, s runtimev1.PipelineRunStatus) error {
	before := w.stored()
	if w.gone || before.ResourceVersion != read.ResourceVersion {
		return errConflict
	}
	if why := goesBack(before.Status, s); why != "" {
		w.fault("the status goes back: %s", why)
	}
	for i, st := range s.Stages {
		if st.State == runtimev1.Succeeded && w.commits[st.Name].attempt == 0 {
			w.fault("stage %s has succeeded without a commit", st.Name)
		}
		was := runtimev1.StageStatus{}
		if len(before.Status.Stages) > 0 {
			was = before.Status.Stages[i]
		}
		w.judgeStage(d, was, st)
	}
	if s.Recorded && !w.recorded {
		w.fault("there is no record")
	}
	next := before.DeepCopy()
	next.Status = s
	w.store(next)
	w.log("written: %s %q", s.State, s.Message)
	for _, st := range s.Stages {
		w.log("    %s %s attempt %d seen %v: %s %s", st.Name, st.State, st.Attempt, st.StartTime != nil, st.Reason,
			st.Message)
	}
	return nil
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
	switch {
	case st.Failures > retries+1:
		w.fault("stage %s has failed by itself %d times, with %d retries", st.Name, st.Failures, retries)
	case st.Attempt > most && !w.jumps:
		w.fault("attempt %d of stage %s, which has at most %d", st.Attempt, st.Name, most)
	case !w.jumps && !st.State.Done() && st.WaitingSince != nil &&
		w.now.Sub(st.WaitingSince.Time) > w.patience+5*time.Minute:
		w.fault("stage %s waits longer than patience allows, since %s", st.Name, st.WaitingSince.Sub(epoch))
	case !w.jumps && w.vain(st.Name) > w.patience+2*time.Minute:
		w.fault("attempts of stage %s have waited for storage for %s, and patience is %s", st.Name, w.vain(st.Name),
			w.patience)
	}
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
	w.judgeFailure(d, st, waited)
}

// countWait notes since when a stage waits whose attempt has waited for storage in vain.
func (w *world) countWait(a *attempt) {
	end := a.seen(w.now)
	if since := end.Since.Add(-end.Waited); end.Waited > 0 && (w.waits[a.stage].IsZero() || since.Before(w.waits[a.stage])) {
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
	const written = 5 * time.Second // so much later than the driver has seen it
	patienceOver := !w.waits[st.Name].IsZero() && (w.jumps || waited >= w.patience-written)
	switch {
	case st.State != runtimev1.Failed || forGood || patienceOver || w.forNothing(st.Name) > 5:
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

func (w *world) cancel() {
	if w.gone || w.stored().Status.State.Done() {
		return
	}
	r := w.stored().DeepCopy()
	r.Spec.Cancel = true
	w.cancelAt = w.now
	w.store(r)
}

// remove deletes the run, and with it what it owns.
func (w *world) remove() {
	w.gone = true
	for _, a := range w.attempts {
		a.stop(w.now, 0)
	}
	w.changed()
}

// changed tells the drivers, each after the time by which its cache is behind.
func (w *world) changed() {
	for _, d := range w.drivers {
		at := w.now
		lag := 5 * time.Millisecond
		if w.chance(0.3) {
			lag = w.upTo(3 * time.Second)
		}
		w.after(lag, func() {
			if at.After(d.cache) {
				d.cache = at
			}
			d.wake()
		})
	}
}

// hint delivers an event to one of the drivers.
func (w *world) hint() {
	d := w.drivers[w.IntN(len(w.drivers))]
	d.hint = true
	d.wake()
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

// commit is publish's: the first attempt wins.
func (w *world) commit(a *attempt) {
	alive := (a.stopped.IsZero() || w.now.Before(a.stopped)) && (a.silent.IsZero() || w.now.Before(a.silent))
	if (alive || a.zombie) && w.commits[a.stage].attempt == 0 {
		w.log("attempt %d of stage %s commits", a.number, a.stage)
		w.commits[a.stage] = commit{a.number, w.now}
	}
}
