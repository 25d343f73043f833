package runs

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// memory is what this process knows of runs and may forget at any time: a new leader only loses some seconds by it.
type memory struct {
	mu   sync.Mutex
	runs map[types.NamespacedName]*known
}

type known struct {
	hint      bool                 // an event has come that names the run
	published map[string]time.Time // by event id: the Broker took it
	under     map[string]bool      // by event id: on its way
	failed    map[string]time.Time // by event id: when publishing was given up
	admitted  string               // the pipeline for which it counts as under way
}

func newMemory() *memory { return &memory{runs: map[types.NamespacedName]*known{}} }

func (m *memory) of(run types.NamespacedName) *known {
	k, ok := m.runs[run]
	if !ok {
		k = &known{published: map[string]time.Time{}, under: map[string]bool{}, failed: map[string]time.Time{}}
		m.runs[run] = k
	}
	return k
}

func (m *memory) forget(run types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.runs, run)
}

// hint remembers that an event named the run, which must be one that is there.
func (m *memory) hint(run types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(run).hint = true
}

// take reports and forgets the hint.
func (m *memory) take(run types.NamespacedName) bool {
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

// publishing reports whether the event still has to be given to the Broker now, and if so marks it as on its way.
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

// publishedAt is when the Broker took the event, and zero if this process does not know.
func (m *memory) publishedAt(run types.NamespacedName, id string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.runs[run]; ok {
		return k.published[id]
	}
	return time.Time{}
}

// admit counts the run among those of its pipeline that are under way, if there is room.
func (m *memory) admit(run types.NamespacedName, pipeline string, most int32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(run)
	if k.admitted == pipeline {
		return true
	}
	var n int32
	for name, other := range m.runs {
		if name.Namespace == run.Namespace && other.admitted == pipeline {
			n++
		}
	}
	if most > 0 && n >= most {
		return false
	}
	k.admitted = pipeline
	return true
}

// leave makes room.
func (m *memory) leave(run types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.runs[run]; ok {
		k.admitted = ""
	}
}
