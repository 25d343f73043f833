// Package fair bounds work that strangers can cause: each namespace gets its own share of it, so
// that whoever floods one namespace with events delays nobody in another.
package fair

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
)

// Limits of a Queue.
type Limits struct {
	// PerSecond is how many a namespace gets, Burst how many at once after a quiet time.
	PerSecond rate.Limit
	Burst     int
	// TotalPerSecond and TotalBurst are for all namespaces together.
	TotalPerSecond rate.Limit
	TotalBurst     int
	// Waiting is how many different ones of a namespace may wait.
	Waiting int
}

// Queue hands out names, those of each namespace at its own rate and the namespaces in turn. A name
// that waits already is not taken twice. It remembers nothing of a namespace that has been quiet.
type Queue struct {
	limits Limits
	news   chan struct{}

	mu    sync.Mutex
	total *rate.Limiter
	lines map[string]*line
	turn  []string // the namespaces in which something waits; the first is next
}

type line struct {
	limiter *rate.Limiter
	waiting []string
}

// NewQueue makes an empty one.
func NewQueue(l Limits) *Queue {
	return &Queue{limits: l, news: make(chan struct{}, 1), total: rate.NewLimiter(l.TotalPerSecond, l.TotalBurst),
		lines: map[string]*line{}}
}

// Add lets a name wait for its turn; false means that too many of its namespace do.
func (q *Queue) Add(name types.NamespacedName) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[name.Namespace]
	switch {
	case l == nil:
		q.forgetQuiet(time.Now())
		l = &line{limiter: rate.NewLimiter(q.limits.PerSecond, q.limits.Burst)}
		q.lines[name.Namespace] = l
	case slices.Contains(l.waiting, name.Name):
		return true
	case len(l.waiting) >= q.limits.Waiting:
		return false
	}
	if l.waiting = append(l.waiting, name.Name); len(l.waiting) == 1 {
		q.turn = append(q.turn, name.Namespace)
	}
	select {
	case q.news <- struct{}{}:
	default: // Run has not taken the one before yet
	}
	return true
}

// forgetQuiet drops the namespaces that have their whole burst again: a new line would be the same.
func (q *Queue) forgetQuiet(now time.Time) {
	for namespace, l := range q.lines {
		if len(l.waiting) == 0 && l.limiter.TokensAt(now) >= float64(q.limits.Burst) {
			delete(q.lines, namespace)
		}
	}
}

// next hands out the next name; without one, wait is when there may be one, and 0 that nothing
// waits.
func (q *Queue) next(now time.Time) (name types.NamespacedName, wait time.Duration, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.turn) == 0 {
		return name, 0, false
	}
	if wait = missing(q.total, now); wait > 0 {
		return name, wait, false
	}
	for i, namespace := range q.turn {
		l := q.lines[namespace]
		if w := missing(l.limiter, now); w > 0 {
			if wait == 0 || w < wait {
				wait = w
			}
			continue
		}
		l.limiter.AllowN(now, 1)
		q.total.AllowN(now, 1)
		name = types.NamespacedName{Namespace: namespace, Name: l.waiting[0]}
		l.waiting = slices.Delete(l.waiting, 0, 1)
		q.turn = slices.Delete(q.turn, i, i+1)
		if len(l.waiting) > 0 {
			q.turn = append(q.turn, namespace)
		}
		return name, 0, true
	}
	return name, wait, false
}

// missing is how long it takes until the limiter lets one through.
func missing(l *rate.Limiter, now time.Time) time.Duration {
	if tokens := l.TokensAt(now); tokens < 1 {
		return time.Duration((1-tokens)/float64(l.Limit())*float64(time.Second)) + time.Millisecond
	}
	return 0
}

// Run gives each name to hand when it is its turn, until ctx ends. hand must not block.
func (q *Queue) Run(ctx context.Context, hand func(types.NamespacedName)) {
	for ctx.Err() == nil {
		name, wait, ok := q.next(time.Now())
		if ok {
			hand(name)
			continue
		}
		var later <-chan time.Time
		if wait > 0 {
			later = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-q.news:
		case <-later:
		}
	}
}

// ErrTooMany is returned when as many of a namespace wait as may.
var ErrTooMany = errors.New("too many of this namespace wait")

// Gate lets work of each namespace through at a rate of its own. Who comes early waits.
type Gate struct {
	perSecond      rate.Limit
	burst, waiting int

	mu    sync.Mutex
	gates map[string]*gate
}

type gate struct {
	limiter *rate.Limiter
	waiting int
}

// NewGate makes one; waiting is how many of a namespace may be waiting at once.
func NewGate(perSecond rate.Limit, burst, waiting int) *Gate {
	return &Gate{perSecond: perSecond, burst: burst, waiting: waiting, gates: map[string]*gate{}}
}

// Wait returns when it is the caller's turn, with an error when that would be after the end of ctx
// or when too many wait.
func (g *Gate) Wait(ctx context.Context, namespace string) error {
	g.mu.Lock()
	x := g.gates[namespace]
	if x == nil {
		now := time.Now()
		for other, y := range g.gates {
			if y.waiting == 0 && y.limiter.TokensAt(now) >= float64(g.burst) {
				delete(g.gates, other)
			}
		}
		x = &gate{limiter: rate.NewLimiter(g.perSecond, g.burst)}
		g.gates[namespace] = x
	}
	if x.waiting >= g.waiting {
		g.mu.Unlock()
		return ErrTooMany
	}
	x.waiting++
	g.mu.Unlock()
	err := x.limiter.Wait(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	x.waiting--
	return err // rate's own words are plain
}
