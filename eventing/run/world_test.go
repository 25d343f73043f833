package run_test

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
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
	// stores: the Broker stores events and delivers them later, and the drivers know that. It takes
	// slow for that at the most, zero is as it comes.
	stores bool
	slow   time.Duration
	now    time.Time
	queue  queue
	order  int

	versions []version
	gone     bool
	plan     []runtimev1.StageStatus
	attempts []*attempt
	commits  map[string]commit // by stage
	fence    func(w *world, stage string) run.Commit
	outages  []span // of storage
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
	grace     = 30 * time.Second
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
		Rand: rand.New(rand.NewPCG(seed, 1)), step: step, fence: closeCommit, quiet: seed%8 == 0, now: epoch,
		calm: epoch.Add(chaosLasts), ready: epoch, room: epoch, patience: 2 * time.Hour, waits: map[string]time.Time{},
		own: map[string]int{}, commits: map[string]commit{},
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
	if s.State.Done() {
		w.judgeEnd(s)
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
