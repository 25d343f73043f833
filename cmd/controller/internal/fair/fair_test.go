package fair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func of(namespace string, n int) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: fmt.Sprint(n)}
}

var limits = Limits{PerSecond: 10, Burst: 20, TotalPerSecond: 25, TotalBurst: 50, Waiting: 100}

// A flood in one namespace is bounded, goes on at its own rate, and the hint of another one is
// handed out at once.
func TestFloodHoldsUpItsOwnNamespaceOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(limits)
		began, quick := time.Now(), time.Duration(-1)
		flooded := 0
		ctx, stop := context.WithCancel(t.Context())
		go q.Run(ctx, func(n types.NamespacedName) {
			if n.Namespace == "calm" {
				quick = time.Since(began)
				return
			}
			flooded++
		})
		refused := 0
		for i := range 10_000 {
			if !q.Add(of("flood", i)) {
				refused++
			}
		}
		synctest.Wait() // all that may go at once has gone
		if refused < 10_000-limits.Waiting-limits.Burst || flooded > limits.Burst {
			t.Errorf("%d refused, %d handed out at once", refused, flooded)
		}
		if !q.Add(of("calm", 1)) {
			t.Error("the other namespace finds the queue full")
		}
		synctest.Wait()
		if quick != 0 {
			t.Errorf("the other namespace had to wait: %v", quick)
		}
		before := flooded
		time.Sleep(2 * time.Second) // synctest's clock
		if n := flooded - before; n < 19 || n > 21 {
			t.Errorf("%d in two seconds, want some 20", n)
		}
		time.Sleep(time.Minute)
		q.Add(of("later", 1))
		synctest.Wait()
		if len(q.lines) != 1 || len(q.turn) != 0 {
			t.Errorf("%d namespaces are remembered", len(q.lines))
		}
		stop()
	})
}

// Many namespaces share what there is for all, each in its turn.
func TestNamespacesTakeTurns(t *testing.T) {
	t.Parallel()
	q, now := NewQueue(limits), time.Now().Add(time.Second)
	for n := range 10 {
		for i := range 20 {
			q.Add(of(fmt.Sprint("ns", n), i))
		}
	}
	got := map[string]int{}
	for {
		n, wait, ok := q.next(now)
		if !ok {
			if wait <= 0 || wait > time.Second {
				t.Errorf("next after %v", wait)
			}
			break
		}
		got[n.Namespace]++
	}
	for ns, n := range got {
		if n != limits.TotalBurst/10 {
			t.Errorf("%s got %d", ns, n)
		}
	}
	if len(got) != 10 {
		t.Errorf("%v", got)
	}
}

func TestNameWaitsOnce(t *testing.T) {
	t.Parallel()
	q := NewQueue(limits)
	for range 1000 {
		if !q.Add(of("ns", 1)) {
			t.Fatal("refused")
		}
	}
	now := time.Now()
	if _, _, ok := q.next(now); !ok {
		t.Error("nothing waits")
	}
	if _, wait, ok := q.next(now); ok || wait != 0 {
		t.Error("it waits twice")
	}
}

// A gate lets a burst through, then its rate; the end of the context and too many that wait are
// errors, and no other namespace notices.
func TestGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(10, 5, 10)
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
		defer stop()
		began := time.Now()
		results := make(chan error, 100)
		for range 100 {
			go func() { results <- g.Wait(ctx, "flood") }()
		}
		synctest.Wait()
		if err := g.Wait(ctx, "calm"); err != nil || time.Since(began) != 0 {
			t.Errorf("the other namespace: %v after %v", err, time.Since(began))
		}
		through, full := 0, 0
		for range 100 {
			switch err := <-results; {
			case err == nil:
				through++
			case errors.Is(err, ErrTooMany):
				full++
			}
		}
		if through < 10 || through > 15 || through+full != 100 {
			t.Errorf("%d through, %d refused at once", through, full)
		}
		time.Sleep(time.Minute)
		if err := g.Wait(t.Context(), "later"); err != nil || len(g.gates) != 1 {
			t.Errorf("%v; %d namespaces are remembered", err, len(g.gates))
		}
	})
}

// A thousand items of one group delay another's one by one item; each group keeps its order.
func TestTurns(t *testing.T) {
	t.Parallel()
	q := NewTurns(func(s string) string { return s[:1] })
	for i := range 1000 {
		q.Push(fmt.Sprint("a", i))
	}
	q.Push("b0")
	q.Push("b1")
	var got []string
	for range 5 {
		got = append(got, q.Pop())
	}
	if want := []string{"a0", "b0", "a1", "b1", "a2"}; !slices.Equal(got, want) || q.Len() != 997 {
		t.Errorf("%v, want %v; %d are left", got, want, q.Len())
	}
	for q.Len() > 0 {
		q.Pop()
	}
	q.Push("a")
	if got := q.Pop(); got != "a" {
		t.Errorf("after a pause: %s", got)
	}
}
