package runs

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	life "github.com/unip-knative/unip/eventing/run"
)

// memory is what this process knows of runs and may forget at any time: a new leader only loses
// some seconds by it.
type memory struct {
	mu   sync.Mutex
	runs map[types.NamespacedName]*known
}

type known struct {
	hint      bool                 // an event has come that names the run
	published map[string]time.Time // by event id: the Broker took it
	under     map[string]bool      // by event id: on its way
	failed    map[string]time.Time // by event id: when publishing was given up
	newest    string               // the version of the run that was read or written last
	recorded  bool                 // run.json was written, or has no place
	answers   map[string]life.Answer
	made      map[string]time.Time // by attempt: when this process has made it
	heldUp    string               // why it waits for what is not its doing
}

func newMemory() *memory {
	return &memory{runs: map[types.NamespacedName]*known{}}
}

func (m *memory) of(run types.NamespacedName) *known {
	k, ok := m.runs[run]
	if !ok {
		k = &known{
			published: map[string]time.Time{}, under: map[string]bool{}, failed: map[string]time.Time{},
			answers: map[string]life.Answer{}, made: map[string]time.Time{},
		}
		m.runs[run] = k
	}
	return k
}

func (m *memory) forget(run types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.runs[run]; ok {
		k.hold("")
	}
	delete(m.runs, run)
}

// hint remembers that an event named the run, which must be one that is there.
func (m *memory) hint(run types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(run).hint = true
}

// takeHint reports and forgets the hint.
func (m *memory) takeHint(run types.NamespacedName) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.runs[run]
	if !ok {
		return false
	}
	h := k.hint
	k.hint = false
	return h
}

// publishing reports whether the event still has to be given to the Broker now, and if so marks it
// as on its way.
func (m *memory) publishing(run types.NamespacedName, id string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(run)
	if _, done := k.published[id]; done || k.under[id] || now.Sub(k.failed[id]) < publishAgain {
		return false
	}
	k.under[id] = true
	return true
}

func (m *memory) publishedNow(run types.NamespacedName, id string, err error, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(run)
	delete(k.under, id)
	if err != nil {
		k.failed[id] = now
		return
	}
	k.published[id] = now
}

// recall gives a step what this process knows of the run.
func (m *memory) recall(run types.NamespacedName, seen *life.Seen) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.runs[run]
	if !ok {
		return
	}
	seen.Taken, seen.Answers, seen.Recorded = maps.Clone(k.published), maps.Clone(k.answers), k.recorded
}

// answer remembers why an attempt could not be made, and reports whether that is news.
func (m *memory) answer(run types.NamespacedName, attempt string, a life.Answer) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(run)
	before, known := k.answers[attempt]
	k.answers[attempt] = a
	return !known || before != a
}

// made remembers when an attempt was made.
func (m *memory) made(run types.NamespacedName, attempt string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(run)
	delete(k.answers, attempt)
	k.made[attempt] = at
}

func (m *memory) madeAt(run types.NamespacedName, attempt string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.runs[run]; ok {
		return k.made[attempt]
	}
	return time.Time{}
}

func (m *memory) recorded(run types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(run).recorded = true
}

// newest remembers the version of the run that was read or written last; "" is none.
func (m *memory) newest(run types.NamespacedName, version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(run).newest = version
}

func (m *memory) isNewest(run types.NamespacedName, version string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.runs[run]
	return ok && version != "" && k.newest == version
}
