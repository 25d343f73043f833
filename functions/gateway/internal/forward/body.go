package forward

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

const (
	// keep is how much of a request's body is kept for sending it again.
	keep = 1 << 20
	// keepAll is how much is kept of all calls' bodies together: the gateway has 256 MiB.
	keepAll = 48 << 20
)

// body is a request's body, of which attempts to send it read: each from the beginning, for as long
// as what has been read of it is kept. Attempts may read at the same time, for the transport may
// still read for one that has been answered.
type body struct {
	from io.Reader
	all  *atomic.Int64 // bytes that all bodies keep

	mu       sync.Mutex
	attempts int
	kept     []byte
	err      error // that ended from
	lost     bool  // it is not kept any more
}

var (
	errOver    = errors.New("the call is over")
	errTooLong = errors.New("the body is too long to be sent again")
)

// newBody of which nothing is kept when its announced length is too long for that.
func newBody(from io.Reader, length int64, all *atomic.Int64) *body {
	return &body{from: from, all: all, lost: length > keep}
}

// attempt reads a body from its beginning.
type attempt struct {
	*body
	at int
}

// attempt is a new one. There is none when the body's beginning is not there any more.
func (b *body) attempt() (a io.ReadCloser, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.attempts > 0 && b.lost {
		return nil, false
	}
	b.attempts++
	return &attempt{body: b}, true
}

func (a *attempt) Read(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at < len(a.kept) {
		n := copy(p, a.kept[a.at:])
		a.at += n
		return n, nil
	}
	if a.err != nil {
		return 0, a.err
	}
	n, err := a.from.Read(p)
	a.at += n
	a.err = err
	switch {
	case a.lost || n == 0:
	case len(a.kept)+n <= keep && a.all.Add(int64(n)) <= keepAll:
		a.kept = append(a.kept, p[:n]...)
	default:
		if len(a.kept)+n <= keep {
			a.all.Add(-int64(n))
		}
		a.drop()
		if a.attempts > 1 { // one of them would get what the other reads
			a.err = errTooLong
			return 0, a.err
		}
	}
	return n, err
}

// drop gives the memory back. The one attempt that there has been goes on.
func (b *body) drop() {
	b.all.Add(-int64(len(b.kept)))
	b.kept, b.lost = nil, true
}

// Close does nothing: net/http closes a request's own body.
func (a *attempt) Close() error { return nil }

// release is for a call that is over.
func (b *body) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop()
	b.err = errOver
}
