package run_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/eventing/run"
)

// hall is everything around the runs of one pipeline: what is stored of them, their users, and one
// leader after the other, which has a watch that is late. What happens is decided by the seed alone.
type hall struct {
	*rand.Rand
	make  func() admission
	quiet bool
	now   time.Time
	queue queue
	order int
	calm  time.Time

	limit  int32
	most   int32 // the highest limit of late, by which a leader may go
	stored map[string]*entry
	broken map[string]bool // runs that cannot be stored for some time
	leader *leader
	passes map[string]int
	idle   map[string]int // by run: how often it was seen to wait although there is room
	wrong  []string
	trace  func(format string, args ...any)
}

// entry is a run as it is stored.
type entry struct {
	run.Candidate
	version int
	ends    time.Time // when what has begun is over
	cancel  bool
}

// leader is one process. It makes its passes over a run one after the other, and those of several
// runs at once.
type leader struct {
	*hall
	admission admission
	busy      map[string]bool
	dirty     map[string]bool
	dead      bool
}

const hallOpens = 10 * time.Minute

func newHall(seed uint64, make func() admission, trace func(string, ...any)) *hall {
	h := &hall{Rand: rand.New(rand.NewPCG(seed, 3)), make: make, quiet: seed%8 == 0, now: epoch,
		calm: epoch.Add(hallOpens), stored: map[string]*entry{}, broken: map[string]bool{}, passes: map[string]int{},
		idle:  map[string]int{},
		trace: trace}
	h.limit = h.Int32N(4)
	if h.quiet {
		h.limit = 1 + h.Int32N(3)
	}
	h.most = h.limit
	h.elect()
	h.after(0, h.look)
	for i := range 3 + h.IntN(12) {
		h.after(h.upTo(2*time.Minute), func() { h.create(fmt.Sprint("r", i), i) })
	}
	if h.quiet {
		return h
	}
	for range h.IntN(4) {
		h.after(h.upTo(hallOpens), h.changeLimit)
	}
	for range h.IntN(4) {
		h.after(h.upTo(hallOpens), h.die)
	}
	return h
}

func (h *hall) after(d time.Duration, do func()) {
	h.order++
	heap.Push(&h.queue, happening{h.now.Add(max(d, 0)), h.order, do})
}

func (h *hall) chance(p float64) bool {
	return !h.quiet && h.now.Before(h.calm) && h.Float64() < p
}

func (h *hall) upTo(d time.Duration) time.Duration { return time.Duration(h.Int64N(int64(d))) }

func (h *hall) fault(format string, args ...any) {
	h.wrong = append(h.wrong, fmt.Sprintf("%s: %s", h.now.Sub(epoch), fmt.Sprintf(format, args...)))
}

func (h *hall) log(format string, args ...any) {
	if h.trace != nil {
		h.trace("%12s "+format, append([]any{h.now.Sub(epoch)}, args...)...)
	}
}

// live is the hall until nothing more happens, and gives what was wrong.
func (h *hall) live() []string {
	for len(h.queue) > 0 && len(h.wrong) == 0 {
		x := heap.Pop(&h.queue).(happening) // nothing else is in it
		if h.now = x.at; h.now.Sub(epoch) > 24*time.Hour {
			h.fault("it goes on for ever")
			break
		}
		x.do()
	}
	if len(h.wrong) > 0 {
		return h.wrong
	}
	for name, e := range h.stored {
		if e.Standing != run.Over {
			h.fault("nothing more happens, and run %s stands at %d", name, e.Standing)
		}
		if h.quiet && h.passes[name] > 4 {
			h.fault("run %s was looked at %d times", name, h.passes[name])
		}
	}
	return h.wrong
}

// look looks now and then whether somebody waits although there is room.
func (h *hall) look() {
	begun := 0
	for _, e := range h.stored {
		if e.Standing == run.Begun {
			begun++
		}
	}
	for name, e := range h.stored {
		switch {
		case !e.Waits || h.broken[name] || h.limit > 0 && begun >= int(h.limit):
			h.idle[name] = 0
		case h.idle[name] >= 6:
			h.fault("%s waits, and there is room", name)
		default:
			h.idle[name]++
		}
	}
	if h.now.Sub(epoch) < time.Hour {
		h.after(30*time.Second, h.look)
	}
}

func (h *hall) create(name string, i int) {
	// Times are in whole seconds, and several runs may have the same.
	created := h.now.Truncate(10 * time.Second)
	h.stored[name] = &entry{Candidate: run.Candidate{Name: name, UID: types.UID(fmt.Sprint(name, "/", i)),
		Created: created}}
	h.changed(name)
	if h.chance(0.2) {
		h.after(h.upTo(5*time.Minute), func() { h.remove(name, i) })
	} else if h.chance(0.2) {
		h.after(h.upTo(5*time.Minute), func() { h.cancel(name) })
	}
	if h.chance(0.1) {
		h.broken[name] = true
		h.after(h.upTo(20*time.Minute), func() { h.broken[name] = false })
	}
}

func (h *hall) remove(name string, i int) {
	if h.stored[name] == nil {
		return
	}
	h.log("%s is deleted", name)
	delete(h.stored, name)
	h.changed(name)
	if h.chance(0.3) {
		h.after(h.upTo(time.Second), func() { h.create(name, i+100) })
	}
}

func (h *hall) cancel(name string) {
	if e := h.stored[name]; e != nil && e.Standing != run.Over {
		h.log("%s is cancelled", name)
		e.cancel = true
		if e.Standing < run.Begun {
			e.Standing, e.Waits = run.Unready, false
		}
		h.changed(name)
	}
}

func (h *hall) changeLimit() {
	h.limit = h.Int32N(4)
	h.log("the limit is %d", h.limit)
	if h.limit == 0 || h.most == 0 {
		h.most = 0
	} else {
		h.most = max(h.most, h.limit)
	}
	// A decision of a moment ago may be stored yet.
	set := h.limit
	h.after(20*time.Second, func() {
		if h.limit == set {
			h.most = set
		}
	})
	h.tell(func(l *leader) {
		l.admission.Limit(set)
		l.call()
	})
}

// tell brings something to the present leader's watch, late but in order.
func (h *hall) tell(what func(l *leader)) {
	l := h.leader
	lag := 5 * time.Millisecond
	if h.now.Before(h.calm) && !h.quiet {
		lag = 3 * time.Second // all of it alike: a watch keeps the order
	}
	h.after(lag, func() {
		if !l.dead {
			what(l)
		}
	})
}

// changed tells the watch of a run.
func (h *hall) changed(name string) {
	e := h.stored[name]
	if e == nil {
		h.tell(func(l *leader) {
			l.admission.Gone(name)
			l.call()
		})
		return
	}
	e.version++
	c := e.Candidate
	h.tell(func(l *leader) {
		l.admission.Stored(c)
		l.call()
		if !c.Waits {
			l.wake(name)
		}
	})
}

// elect begins a term: what is stored is read as it is now.
func (h *hall) elect() {
	h.log("a leader")
	l := &leader{hall: h, admission: h.make(), busy: map[string]bool{}, dirty: map[string]bool{}}
	h.leader = l
	l.admission.Limit(h.limit)
	for _, name := range h.names() {
		l.admission.Stored(h.stored[name].Candidate)
	}
	for _, name := range h.names() {
		if !h.stored[name].Waits {
			l.wake(name)
		}
	}
	l.call()
}

func (h *hall) names() []string {
	var all []string
	for name := range h.stored {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// die ends a leader in the middle of whatever it does; what it has sent is stored or not by the time
// the next one begins.
func (h *hall) die() {
	h.log("the leader dies")
	h.leader.dead = true
	h.after(15*time.Second, func() {
		if h.leader.dead {
			h.elect()
		}
	})
}

func (l *leader) call() {
	for _, name := range l.admission.Call() {
		l.log("%s is called", name)
		l.wake(name)
	}
}

func (l *leader) wake(name string) {
	if l.dead {
		return
	}
	if l.busy[name] {
		l.dirty[name] = true
		return
	}
	l.busy[name] = true
	l.later(l.pass, name)
}

// later does something unless the leader dies before.
func (l *leader) later(do func(string), name string) {
	takes := 10 * time.Millisecond
	if l.chance(0.5) {
		takes = l.upTo(2 * time.Second)
	}
	l.after(takes, func() {
		if !l.dead {
			do(name)
		}
	})
}

// end ends a pass; a failed one comes again by itself.
func (l *leader) end(name string, again time.Duration) {
	l.busy[name] = false
	if l.dirty[name] {
		l.dirty[name] = false
		l.wake(name)
	} else if again > 0 {
		l.after(again, func() { l.wake(name) })
	}
	l.call()
}

// pass is one look at a run, as it is stored.
func (l *leader) pass(name string) {
	e := l.stored[name]
	if e == nil || e.Standing == run.Over {
		l.end(name, 0)
		return
	}
	l.passes[name]++
	next, version := e.Candidate, e.version
	switch {
	case e.cancel:
		next.Standing = run.Over
	case e.Standing == run.Begun && l.now.Before(e.ends):
		l.admission.Wrote(next)
		l.end(name, e.ends.Sub(l.now)) // its pod tells when it ends
		return
	case e.Standing == run.Begun:
		next.Standing = run.Over
	case l.chance(0.1): // it waits for a box
		l.admission.Failed(next)
		l.end(name, 5*time.Second)
		return
	default:
		if next.Standing = run.Ready; l.admission.Ask(next) {
			next.Standing, next.Waits = run.Begun, false
			l.before(name)
		} else {
			next.Waits = true
		}
	}
	if next == e.Candidate {
		l.admission.Wrote(next)
		l.end(name, 0)
		return
	}
	if l.broken[name] { // refused, and that is known
		l.later(func(string) {
			l.admission.Failed(next)
			l.end(name, 10*time.Second)
		}, name)
		return
	}
	l.send(name, next, version)
}

// before looks who should have begun before a run. When nothing goes wrong, that is nobody who has
// waited.
func (l *leader) before(name string) {
	for _, other := range l.stored {
		me := l.stored[name]
		older := other.Created.Before(me.Created) || other.Created.Equal(me.Created) && other.Name < me.Name
		if l.quiet && older && other.Waits && other.Standing == run.Ready {
			l.fault("%s begins before %s, which waits", name, other.Name)
		}
	}
}

// send stores, and may not hear whether it did.
func (l *leader) send(name string, next run.Candidate, version int) {
	arrives := 5 * time.Millisecond
	if l.chance(0.3) {
		arrives = l.upTo(5 * time.Second)
	}
	lost, deaf := l.chance(0.1), l.chance(0.1)
	l.after(arrives, func() {
		ok := !lost && l.store(name, next, version)
		if l.dead {
			return
		}
		switch {
		case ok && !deaf:
			l.admission.Wrote(next)
			again := time.Duration(0)
			if next.Standing == run.Begun {
				again = l.stored[name].ends.Sub(l.now)
			}
			l.end(name, again)
		case !lost && !deaf && l.stored[name] == nil:
			l.admission.Failed(next)
			l.end(name, 0)
		default: // a conflict may be with what was stored by the try before
			l.admission.Unsure(next)
			l.end(name, 50*time.Millisecond)
		}
	})
}

// store stores a run if it is as it was read.
func (h *hall) store(name string, next run.Candidate, version int) bool {
	e := h.stored[name]
	if e == nil || e.UID != next.UID || e.version != version {
		return false
	}
	h.log("%s: %d, waits %v", name, next.Standing, next.Waits)
	if next.Standing == run.Begun {
		begun := 1
		for _, other := range h.stored {
			if other.Standing == run.Begun {
				begun++
			}
		}
		if h.most > 0 && begun > int(h.most) {
			h.fault("%d are under way, and the limit is %d", begun, h.most)
		}
		e.ends = h.now.Add(time.Second + h.upTo(time.Minute))
	}
	e.Candidate = next
	h.changed(name)
	return true
}
