package pool

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
	"github.com/unip-knative/unip/functions/inference/internal/rights"
)

// A worker finds its next calls in its socket, where that changes nothing for anyone: it is the
// only one, so that they would wait for it anyway, and its calls are short. Server and worker then
// change places on a CPU once for several calls.
//
// There are at most most of them, each of at most aheadSize bytes, so that the socket takes all.
const most, aheadSize = 4, 16 << 10

// line is what one worker has to do beside the call that it runs.
type line struct {
	*worker
	next []*task       // in this order
	sent int           // so many of them are in its socket
	last time.Duration // how long its last call took
	etag string        // of its model
}

// work gives a worker calls and takes its answers, until it ends.
func (p *Pool) work(w *worker) {
	l := line{worker: w, last: p.times.quick}
	if w.model != nil { // it does not change any more
		l.etag = w.model.ETag
	}
	for {
		t := p.pick(&l)
		switch {
		case t == nil && w.dead.Load():
			w.conn.Close()
			return
		case t == nil:
			p.kill(w, EndReplaced)
			return
		}
		p.busy.Add(1)
		a, err := p.run(&l, t)
		p.busy.Add(-1)
		if err != nil {
			for _, t := range l.next {
				p.settle(t, Answer{}, errUnsent)
			}
			if errors.Is(err, errUnsent) {
				p.kill(w, EndProtocol)
			} else {
				err = p.lost(w, t.call.ID, err)
			}
		}
		p.settle(t, a, err)
		if err != nil {
			return
		}
	}
}

// pick takes the worker's next call, nil when it has ended, or is to end, and has none.
func (p *Pool) pick(l *line) *task {
	for len(l.next) > 0 {
		t := l.next[0]
		l.next = slices.Delete(l.next, 0, 1)
		if l.sent == 0 && (t.over.Load() || l.leaving()) { // its caller has left, or it goes to another worker
			p.settle(t, Answer{}, errUnsent)
			continue
		}
		return t
	}
	if l.leaving() { // select would choose by chance
		return nil
	}
	select {
	case t := <-p.calls:
		return t
	case <-l.gone:
		return nil
	case <-l.retired:
		return nil
	}
}

// run sends the call, unless the worker has it already, and receives the answer.
func (p *Pool) run(l *line, t *task) (Answer, error) {
	p.countOff(t)
	began := time.Now()
	a := Answer{PID: l.pid, Waited: since(t.came), ETag: l.etag}
	t.waited.Store(int64(a.Waited))
	t.worker.Store(int64(a.PID))               // after it, for who reads both
	_ = l.conn.SetDeadline(began.Add(t.limit)) // a Unix socket has deadlines
	dead := l.dead.Load()
	if dead { // the deadline that its end has set is overwritten
		_ = l.conn.SetReadDeadline(began.Add(lastWords))
	}
	if l.sent > 0 {
		l.sent--
	} else {
		if dead || l.in.Buffered() > 0 { // it has said something that it was not asked
			return a, errUnsent
		}
		if t.call.Returns {
			l.handed.Expect()
		}
		if err := l.send(t); isTimeout(err) {
			return a, err
		} else if err != nil {
			return a, errUnsent
		}
	}
	p.handAhead(l, t)
	f, err := frame.Read(l.in)
	for err == nil && f.Type == frame.Event && t.call.Event != nil {
		told := time.Now()
		t.call.Event(f.Body)
		began = began.Add(time.Since(told)) // the caller's time, not the function's
		// A Unix socket has deadlines. The one that the worker's end has set may be overwritten.
		if _ = l.conn.SetReadDeadline(began.Add(t.limit)); l.dead.Load() {
			_ = l.conn.SetReadDeadline(time.Now().Add(lastWords))
		}
		f, err = frame.Read(l.in)
	}
	a.Took = time.Since(began)
	l.last = a.Took
	handed := l.handed.Taken()
	if err == nil && f.Type == frame.Answer {
		a.Files = handed
	} else {
		rights.Close(handed)
	}
	switch {
	case errors.Is(err, syscall.ECONNRESET) && l.sent == 0:
		// what a Unix socket says when its other end was closed with bytes unread: the call's
		return a, errUnsent
	case err != nil:
		return a, err
	case f.Type != frame.Answer && f.Type != frame.Problem:
		return a, fmt.Errorf("a frame of type %d", f.Type)
	}
	a.Body, a.Meta, a.Problem = f.Body, f.Meta, f.Type == frame.Problem
	return a, nil
}

// handAhead sends calls that wait to a worker that runs one. What cannot be sent ahead keeps its
// place in the line.
func (p *Pool) handAhead(l *line, running *task) {
	if l.last >= p.times.quick || l.dead.Load() || l.leaving() || running.call.Returns || p.serving.Load() != 1 {
		return
	}
	for len(l.next) < most && l.sent == len(l.next) {
		select {
		case t := <-p.calls:
			l.next = append(l.next, t)
			if t.call.Returns || len(t.call.Body) > aheadSize || l.send(t) != nil {
				return
			}
			l.sent++
		default:
			return
		}
	}
}

func (l *line) send(t *task) error {
	return frame.Write(l.conn, frame.Frame{Type: frame.Call, Meta: t.call.meta(), Body: t.call.Body})
}
