package basic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// waiters take turns one after the other behind a taken seat; order is who came when, and busy who
// was refused.
type waiters struct {
	mu          sync.Mutex
	order, busy []string
}

func (w *waiters) take(ctx context.Context, turns *turns, user string) {
	go func() {
		err := turns.wait(ctx, user)
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case err == nil:
			w.order = append(w.order, user)
			turns.leave()
		case errors.Is(err, ErrBusy):
			w.busy = append(w.busy, user)
		}
	}()
	synctest.Wait()
}

func TestUsersTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns, w := newTurns(1), &waiters{}
		_ = turns.wait(t.Context(), "somebody")
		for range 5 {
			w.take(t.Context(), turns, "flood")
		}
		w.take(t.Context(), turns, "ann")
		w.take(t.Context(), turns, "boris")
		turns.leave()
		synctest.Wait()
		if want := []string{"flood", "ann", "boris", "flood", "flood", "flood", "flood"}; !slices.Equal(w.order, want) {
			t.Errorf("%v", w.order)
		}
		if turns.free != 1 || turns.waiting != 0 || len(turns.users)+len(turns.queues) != 0 {
			t.Errorf("left: %+v", turns)
		}
	})
}

// A flood of one user's attempts fills the queue, and pays for those of others.
func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns, w := newTurns(1), &waiters{}
		_ = turns.wait(t.Context(), "somebody")
		for range maxWaiting + 100 {
			w.take(t.Context(), turns, "flood")
		}
		if len(w.busy) != 100 || turns.waiting != maxWaiting {
			t.Fatalf("%d refused, %d wait", len(w.busy), turns.waiting)
		}
		for i := range 20 {
			w.take(t.Context(), turns, fmt.Sprint("user ", i))
		}
		if len(w.busy) != 120 || slices.ContainsFunc(w.busy, func(u string) bool { return u != "flood" }) ||
			turns.waiting != maxWaiting {
			t.Fatalf("refused %v, %d wait", w.busy, turns.waiting)
		}
		turns.leave()
		synctest.Wait()
		if got := w.order[:21]; slices.Contains(got[1:], "flood") || len(w.order) != maxWaiting {
			t.Errorf("%d: %v", len(w.order), got)
		}
		if turns.free != 1 || turns.waiting != 0 {
			t.Errorf("left: %+v", turns)
		}
	})
}

func TestWhoGoesLeavesTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns, w := newTurns(1), &waiters{}
		_ = turns.wait(t.Context(), "somebody")
		ctx, cancel := context.WithCancel(t.Context())
		w.take(ctx, turns, "ann")
		w.take(ctx, turns, "ann")
		w.take(t.Context(), turns, "boris")
		cancel()
		synctest.Wait()
		if turns.waiting != 1 || len(turns.users) != 1 {
			t.Errorf("left: %+v", turns)
		}
		turns.leave()
		synctest.Wait()
		if !slices.Equal(w.order, []string{"boris"}) || turns.free != 1 {
			t.Errorf("%v, %+v", w.order, turns)
		}
	})
}
