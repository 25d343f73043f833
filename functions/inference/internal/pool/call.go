package pool

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/rights"
)

// errUnsent is how a call comes back that its worker has not begun: the function does not know of
// it.
var errUnsent = errors.New("the call did not reach a worker")

// task is a call on its way to a worker and back.
type task struct {
	call  Call
	limit time.Duration
	came  time.Time // when it began to wait, zero where a worker was free
	waits bool      // it counts as one that waits

	worker atomic.Int64 // number of the process that has begun it last
	waited atomic.Int64 // how long it waited until then, in nanoseconds
	over   atomic.Bool  // its result is there, or its caller has left, whichever comes first
	result chan result  // room for one
}

type result struct {
	answer Answer
	err    error
}

// Do gives the call, of a request with this id, to a free worker and returns its answer. limit
// bounds the function's own time, from when a worker begins the call; the context's end while the
// call waits gives up the place (the context's error comes back).
//
// Errors: ErrFull, ErrNoModel, ErrDeadline, *DiedError, the context's.
func (p *Pool) Do(ctx context.Context, call Call, limit time.Duration) (Answer, error) {
	if p.model && !p.Loaded() {
		call.done()
		return Answer{}, ErrNoModel
	}
	t := &task{call: call, limit: limit, result: make(chan result, 1)}
	for again := false; ; again = true {
		if err := p.offer(ctx, t, again); err != nil {
			call.done()
			return Answer{Waited: since(t.came)}, err
		}
		select {
		case r := <-t.result:
			if errors.Is(r.err, errUnsent) {
				t.over.Store(false)
				continue
			}
			return r.answer, r.err
		case <-ctx.Done(): // the worker finishes, and its answer is dropped
			if t.over.CompareAndSwap(false, true) {
				a := Answer{PID: int(t.worker.Load()), Waited: time.Duration(t.waited.Load())}
				if a.PID == 0 { // it was handed ahead, and is not begun
					a.Waited = since(t.came)
				}
				return a, ctx.Err()
			}
			r := <-t.result
			if errors.Is(r.err, errUnsent) {
				call.done()
				r.err = ctx.Err()
			}
			return r.answer, r.err
		}
	}
}

// offer waits until a worker takes the call. Senders to a channel are served in the order in which
// they came. A call that comes back unsent goes to the end, and is not refused there.
func (p *Pool) offer(ctx context.Context, t *task, again bool) error {
	select {
	case p.calls <- t:
		return nil
	default:
	}
	if t.came.IsZero() {
		t.came = time.Now()
	}
	if p.waiting.Add(1) > p.queue && !again {
		p.waiting.Add(-1)
		return ErrFull
	}
	t.waits = true // whoever takes it counts it off
	select {
	case p.calls <- t:
		return nil
	case <-ctx.Done():
		p.countOff(t)
		return ctx.Err()
	}
}

// Full reports whether a call that came now would be refused, unless a worker became free.
func (p *Pool) Full() bool { return p.waiting.Load() >= p.queue }

// countOff ends the wait of a call, if it waited.
func (p *Pool) countOff(t *task) {
	if t.waits {
		t.waits = false
		p.waiting.Add(-1)
	}
}

// since is the time since a call began to wait, none where it did not.
func since(began time.Time) time.Duration {
	if began.IsZero() {
		return 0
	}
	return time.Since(began)
}

// settle says what came of a call. A caller who has left is told nothing.
func (p *Pool) settle(t *task, a Answer, err error) {
	p.countOff(t)
	present := t.over.CompareAndSwap(false, true)
	if !present || !errors.Is(err, errUnsent) {
		t.call.done()
	}
	if !present {
		rights.Close(a.Files)
		return
	}
	t.result <- result{a, err}
}

// meta is the call's part of its frame beside the body.
func (c Call) meta() []byte {
	if c.More == nil {
		return []byte(c.ID)
	}
	return append(append([]byte(c.ID), 0), c.More...)
}

func (c Call) done() {
	if c.Done != nil {
		c.Done()
	}
}
