package service

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// rest is how long a caller may take to send what is not needed any more.
	rest = 2 * time.Second
	// maxRest is how much of that is read.
	maxRest = 256 << 10
)

// body of a call. The transport reads it in a goroutine of its own, which may go on after the answer:
// nothing is read once it is left.
type body struct {
	io.ReadCloser
	reading             sync.Mutex
	left, whole, broken atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.left.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.read(p)
}

func (b *body) read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.whole.Store(true)
	case err != nil:
		b.broken.Store(true)
	}
	return n, err
}

// leave ends reading when a call was answered. A little of what is left of the body is read, so that a
// caller who sends on hears the answer. Who sends slowly is let go.
func (b *body) leave(connection *http.ResponseController) {
	if b.whole.Load() {
		return
	}
	b.left.Store(true)
	_ = connection.Flush()                               // what fails here fails because the connection is gone
	_ = connection.SetReadDeadline(time.Now().Add(rest)) // also of a read under way
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.whole.Load() { // by the read that was under way: the deadline went with it
		return
	}
	_, _ = io.CopyN(io.Discard, readerFunc(b.read), maxRest)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// last makes a call the last one of its connection when it is answered before its body has come: what
// still comes must not be read as another call, which net/http does once reading has failed.
func (c *call) last() {
	if c.header != nil && !c.body.whole.Load() {
		c.header.Set("Connection", "close")
	}
}
