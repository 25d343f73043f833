package serve

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// mostWaiting bounds what waits for its reader, in bytes. A terminal that Ctrl-S has stopped, or a
	// pipe that nobody reads, must not stop the module.
	mostWaiting = 1 << 20
	// flushWithin is how long the end waits for a reader.
	flushWithin = 500 * time.Millisecond
)

// pending is a writer of lines that never waits for who reads them. Lines beyond what may wait are left
// out, and how many is said when it goes on.
type pending struct {
	w      io.Writer
	unread func()           // is called when nobody reads any more
	gap    func(int) string // says in a line how many were left out

	mu      sync.Mutex
	closed  bool
	waiting []byte
	leftOut int // lines since those that wait
	wake    chan struct{}
	done    chan struct{} // closed when all that waited at the end is written
}

func newPending(w io.Writer, unread func(), gap func(int) string) *pending {
	q := &pending{w: w, unread: unread, gap: gap, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go q.pass()
	return q
}

// Write takes whole lines.
func (q *pending) Write(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return 0, os.ErrClosed
	case q.leftOut > 0 || len(q.waiting)+len(b) > mostWaiting: // what was left out stays one piece
		q.leftOut += strings.Count(string(b), "\n")
	default:
		q.waiting = append(q.waiting, b...)
	}
	q.call()
	return len(b), nil
}

func (q *pending) call() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take gives what is to be written next.
func (q *pending) take() (b []byte, leftOut int, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b, leftOut = q.waiting, q.leftOut
	q.waiting, q.leftOut = nil, 0
	return b, leftOut, q.closed
}

// pass writes what waits, until the end. What cannot be written, on a full disk say, is missed.
func (q *pending) pass() {
	defer close(q.done)
	for range q.wake {
		b, leftOut, closed := q.take()
		q.write(b)
		if leftOut > 0 {
			q.write([]byte(q.gap(leftOut)))
			q.call() // more may have come
		}
		if closed {
			return
		}
	}
}

func (q *pending) write(b []byte) {
	if len(b) == 0 {
		return
	}
	if _, err := q.w.Write(b); errors.Is(err, syscall.EPIPE) {
		q.unread()
	}
}

// close writes what waits, unless nobody reads it for too long.
func (q *pending) close() {
	q.mu.Lock()
	q.closed = true
	q.call()
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(flushWithin):
	}
}
