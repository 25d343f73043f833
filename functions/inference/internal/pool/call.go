package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
)

// exitNews is how long a failed call waits for the supervisor to say how its worker ended.
const exitNews = 2 * time.Second

// Do gives the call, of a request with this id, to a free worker and returns its answer. limit bounds the function's own time, from when a worker takes the call; the context's end while the call waits gives up
// the place (the context's error comes back).
//
// Errors: ErrFull, ErrNoModel, ErrDeadline, *DiedError, the context's.
func (p *Pool) Do(ctx context.Context, call Call, limit time.Duration) (Answer, error) {
	if p.model && !p.Loaded() {
		return Answer{}, ErrNoModel
	}
	w, err := p.take(ctx)
	if err != nil {
		return Answer{}, err
	}
	type result struct {
		answer Answer
		err    error
	}
	done := make(chan result, 1)
	go func() {
		a, err := p.exchange(w, call, limit)
		done <- result{a, err}
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done(): // the worker finishes, and its answer is dropped
		return Answer{PID: w.pid}, ctx.Err()
	}
}

// take waits for a free worker. Receivers of a channel are served in the order in which they came.
func (p *Pool) take(ctx context.Context) (*worker, error) {
	waits := false
	for {
		select {
		case w := <-p.idle:
			if w.dead.Load() {
				w.conn.Close()
				continue
			}
			return w, nil
		default:
		}
		if !waits {
			defer p.waiting.Add(-1)
			if waits = true; p.waiting.Add(1) > p.queue {
				return nil, ErrFull
			}
		}
		select {
		case w := <-p.idle:
			if w.dead.Load() {
				w.conn.Close()
				continue
			}
			return w, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// exchange sends the call and receives the answer. The worker goes back to the pool, or, when it failed, is replaced.
func (p *Pool) exchange(w *worker, call Call, limit time.Duration) (Answer, error) {
	_ = w.conn.SetDeadline(time.Now().Add(limit)) // a Unix socket has deadlines
	err := frame.Write(w.conn, frame.Frame{Type: frame.Call, Meta: call.meta(), Body: call.Body})
	var f frame.Frame
	if err == nil {
		f, err = frame.Read(w.in)
	}
	if err == nil && f.Type != frame.Answer && f.Type != frame.Problem {
		err = fmt.Errorf("a frame of type %d", f.Type)
	}
	if err != nil {
		return Answer{PID: w.pid}, p.lost(w, err)
	}
	p.idle <- w
	return Answer{Body: f.Body, Meta: f.Meta, Problem: f.Type == frame.Problem, PID: w.pid}, nil
}

// meta is the call's part of its frame beside the body.
func (c Call) meta() []byte {
	if c.More == nil {
		return []byte(c.ID)
	}
	return append(append([]byte(c.ID), 0), c.More...)
}

// lost ends a worker whose call failed and says why it did.
func (p *Pool) lost(w *worker, err error) error {
	p.kill(w)
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		p.log.Warn("function overran its time", "worker", w.pid)
		return ErrDeadline
	}
	select {
	case e := <-w.exit:
		return &DiedError{How: e.String()}
	case <-time.After(exitNews):
		return &DiedError{How: "is gone: " + err.Error()}
	}
}
