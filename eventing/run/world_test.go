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
	commits  map[string]int // by stage: the attempt that won
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
		Rand: rand.New(rand.NewPCG(seed, 1)), step: step, quiet: seed%8 == 0, now: epoch, commits: map[string]int{},
		calm: epoch.Add(chaosLasts), ready: epoch, room: epoch,
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

// write stores a status if the run is still as the writer read it.
func (w *world) write(read *runtimev1.PipelineRun, s runtimev1.PipelineRunStatus) error {
	before := w.stored()
	if w.gone || before.ResourceVersion != read.ResourceVersion {
		return errConflict
	}
	if why := goesBack(before.Status, s); why != "" {
		w.fault("the status goes back: %s", why)
	}
	for _, st := range s.Stages {
		if st.State == runtimev1.Succeeded && w.commits[st.Name] == 0 {
			w.fault("stage %s has succeeded without a commit", st.Name)
		}
		if most := 4 + int(st.Spec.Retries); st.Attempt > most {
			w.fault("attempt %d of stage %s, which has at most %d", st.Attempt, st.Name, most)
		}
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
	zombie      bool // goes on when nothing of it is seen any more
}

func (a *attempt) seen(t time.Time) run.Attempt {
	if !a.gone.IsZero() && !t.Before(a.gone) {
		return run.Attempt{Message: "it has gone"}
	}
	if !a.stopped.IsZero() && a.stopped.Before(t) {
		t = a.stopped
	}
	var now run.Attempt
	for _, p := range a.phases {
		if p.Since.After(t) {
			break
		}
		now = p
	}
	return now
}

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
			if st.Name == x.Stage && w.commits[n] == 0 {
				w.fault("stage %s starts, and %s has not ended", x.Stage, n)
			}
		}
	}
	for _, a := range w.attempts {
		if a.stage == x.Stage && a.name != x.Name && a.going(w.now) {
			w.fault("attempt %d of stage %s starts while attempt %d goes on", x.Number, x.Stage, a.number)
		}
	}
	a := &attempt{name: x.Name, stage: x.Stage, number: x.Number}
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
	add(time.Second, run.Attempt{Phase: run.Fetching})
	if w.chance(0.1) {
		end(time.Second, run.Fetch, run.Attempt{ExitCode: 1, Retry: w.chance(0.5), Message: "no file"})
		return
	}
	add(time.Second, run.Attempt{Phase: run.Working, Part: run.Function})
	work := w.upTo(2 * time.Minute)
	switch {
	case w.chance(0.05):
		return // for ever
	case w.chance(0.15):
		end(work, run.Function, run.Attempt{ExitCode: 1, Cause: run.Cause(w.IntN(3)), Disrupted: w.chance(0.2),
			Message: "ValueError"})
		return
	}
	add(work, run.Attempt{Phase: run.Publishing})
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
	if (a.stopped.IsZero() || w.now.Before(a.stopped) || a.zombie) && w.commits[a.stage] == 0 {
		w.commits[a.stage] = a.number
	}
}
