package mounts

import (
	"context"
	"sync"
)

// turns let calls of one sort run at a time, as many as there are: those that are stored, or those
// that are not. Who waits has the next turn.
type turns struct {
	mu      sync.Mutex
	running int
	stored  bool // the sort that runs
	waiting []chan struct{}
	sorts   []bool // of those that wait
	// changed is told that the other sort begins to run; it is called with the lock held.
	changed func(stored bool)
}

// mostWaiting is how many calls may wait for a turn.
const mostWaiting = 100

// take waits for a turn of the sort.
func (t *turns) take(ctx context.Context, stored bool) error {
	t.mu.Lock()
	if t.running == 0 || t.stored == stored && len(t.waiting) == 0 {
		t.begin(stored)
		t.mu.Unlock()
		return nil
	}
	if len(t.waiting) == mostWaiting {
		t.mu.Unlock()
		return ErrFullOfCalls
	}
	turn := make(chan struct{})
	t.waiting, t.sorts = append(t.waiting, turn), append(t.sorts, stored)
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, w := range t.waiting {
		if w == turn {
			t.waiting, t.sorts = append(t.waiting[:i:i], t.waiting[i+1:]...), append(t.sorts[:i:i], t.sorts[i+1:]...)
			t.next()
			return ctx.Err()
		}
	}
	t.end() // it was given the turn meanwhile
	return ctx.Err()
}

// give ends one.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end()
}

func (t *turns) end() {
	t.running--
	t.next()
}

// next lets those in who wait, as far as they fit.
func (t *turns) next() {
	for len(t.waiting) > 0 && (t.running == 0 || t.stored == t.sorts[0]) {
		t.begin(t.sorts[0])
		close(t.waiting[0])
		t.waiting, t.sorts = t.waiting[1:], t.sorts[1:]
	}
}

func (t *turns) begin(stored bool) {
	if t.running == 0 && t.stored != stored {
		t.stored = stored
		t.changed(stored)
	}
	t.running++
}
