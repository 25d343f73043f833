package pool

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
	"github.com/unip-knative/unip/functions/inference/internal/rights"
)

// errUnsent is exchange's: the connection was closed before the worker had the whole call.
var errUnsent = errors.New("the call did not reach a worker")

// Do gives the call, of a request with this id, to a free worker and returns its answer. limit bounds the function's own time, from when a worker takes the call; the context's end while the call waits gives up
// the place (the context's error comes back).
//
// Errors: ErrFull, ErrNoModel, ErrDeadline, *DiedError, the context's.
func (p *Pool) Do(ctx context.Context, call Call, limit time.Duration) (Answer, error) {
	taken := false
	defer func() {
		if !taken {
			call.done()
		}
	}()
	if p.model && !p.Loaded() {
		return Answer{}, ErrNoModel
	}
	w, waited, err := p.take(ctx)
	if err != nil {
		return Answer{Waited: waited}, err
	}
	pid := w.pid // another worker may take its place below
	type result struct {
		answer Answer
		err    error
	}
	done := make(chan result)
	taken = true
	go func() {
		waited := waited
		a, err := p.exchange(w, call, limit)
		for errors.Is(err, errUnsent) { // the worker had ended before: the function does not know of the call
			var more time.Duration
			if w, more, err = p.take(ctx); err == nil {
				a, err = p.exchange(w, call, limit)
			}
			waited += more
		}
		a.Waited = waited
		call.done()
		select {
		case done <- result{a, err}:
		case <-ctx.Done():
			rights.Close(a.Files)
		}
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done(): // the worker finishes, and its answer is dropped
		return Answer{PID: pid, Waited: waited}, ctx.Err()
	}
}

// take waits for a free worker. Receivers of a channel are served in the order in which they came.
func (p *Pool) take(ctx context.Context) (*worker, time.Duration, error) {
	var began time.Time
	for {
		select {
		case w := <-p.idle:
			if w.dead.Load() {
				w.conn.Close()
				continue
			}
			return w, since(began), nil
		default:
		}
		if began.IsZero() {
			defer p.waiting.Add(-1)
			began = time.Now()
			if p.waiting.Add(1) > p.queue {
				return nil, 0, ErrFull
			}
		}
		select {
		case w := <-p.idle:
			if w.dead.Load() {
				w.conn.Close()
				continue
			}
			return w, since(began), nil
		case <-ctx.Done():
			return nil, since(began), ctx.Err()
		}
	}
}

// since is the time since a call began to wait, none where it did not.
func since(began time.Time) time.Duration {
	if began.IsZero() {
		return 0
	}
	return time.Since(began)
}

// exchange sends the call and receives the answer. The worker goes back to the pool, or, when it failed, is replaced.
func (p *Pool) exchange(w *worker, call Call, limit time.Duration) (Answer, error) {
	p.busy.Add(1)
	defer p.busy.Add(-1)
	began := time.Now()
	_ = w.conn.SetDeadline(began.Add(limit)) // a Unix socket has deadlines
	if w.dead.Load() {                       // since it was taken: the deadline that its end has set is overwritten
		w.conn.Close()
	}
	if call.Returns {
		w.handed.Expect()
	}
	err := frame.Write(w.conn, frame.Frame{Type: frame.Call, Meta: call.meta(), Body: call.Body})
	unsent := err != nil && !isTimeout(err)
	var f frame.Frame
	if err == nil {
		f, err = frame.Read(w.in)
		unsent = errors.Is(err, syscall.ECONNRESET) // what a Unix socket says when its other end was closed with bytes unread: the call's
	}
	handed := w.handed.Taken()
	if err != nil || f.Type != frame.Answer {
		rights.Close(handed)
		handed = nil
	}
	if unsent {
		p.kill(w, EndProtocol)
		return Answer{}, errUnsent
	}
	if err == nil && f.Type != frame.Answer && f.Type != frame.Problem {
		err = fmt.Errorf("a frame of type %d", f.Type)
	}
	took := time.Since(began)
	if err != nil {
		return Answer{PID: w.pid, Took: took}, p.lost(w, call.ID, err)
	}
	p.idle <- w
	return Answer{Body: f.Body, Meta: f.Meta, Files: handed, Problem: f.Type == frame.Problem, PID: w.pid, Took: took}, nil
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
