// Package rest reads what is left of a request's body when the call is answered before all of it has
// come.
//
// Knative's activator and queue-proxy, an ingress and clients that send all before they read stand
// between a caller and us. A server that answers and closes what still sends lets each of them choose:
// it may see the answer or the broken connection first, and in the second case its own caller hears
// 502 and no reason. An answer after the last byte comes through all of them.
package rest

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Most is how many bytes are thrown away for one answer: more than any installation takes.
	Most = 256 << 20
	// Pause is how long a caller may send nothing meanwhile.
	Pause = 2 * time.Second
	// Whole is how long all of it may take.
	Whole = 30 * time.Second
)

// Body of a request, by HTTP/1. Others than the handler may read it, as http.Transport does in a
// goroutine of its own, which may go on after the answer: nothing is read once it is discarded.
type Body struct {
	io.ReadCloser
	conn    *http.ResponseController
	length  int64 // -1: not announced
	waits   bool  // the caller sends it when it is asked for
	reading sync.Mutex

	begun, whole, broken, left atomic.Bool
}

// Of gives the request a Body, nil where it has none or can leave it, as in HTTP/2.
//
// r must be a copy of the server's own request, which keeps its body: by its type net/http knows that
// it has to wait before it closes a connection with something unread on it.
func Of(w http.ResponseWriter, r *http.Request) *Body {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 || r.ProtoMajor > 1 {
		return nil
	}
	b := &Body{
		ReadCloser: r.Body, conn: http.NewResponseController(w), length: r.ContentLength,
		waits: strings.EqualFold(r.Header.Get("Expect"), "100-continue"),
	}
	r.Body = b
	return b
}

func (b *Body) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.left.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.read(p)
}

func (b *Body) read(p []byte) (int, error) {
	b.begun.Store(true)
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.whole.Store(true)
	case err != nil:
		b.broken.Store(true)
	}
	return n, err
}

// Whole reports that the body has been read to its end.
func (b *Body) Whole() bool { return b.whole.Load() }

// Broken reports that reading the body has failed: it broke off, or came too slowly.
func (b *Body) Broken() bool { return b.broken.Load() }

// Discard throws away what is left of the body, within the limits above, and nobody reads it any more.
// It reads nothing of a body that is announced to be longer, nor of one that the caller sends when it is
// asked for. A connection whose body has come has no deadline of reading afterwards; another one should
// be closed, which net/http does. A nil Body has nothing left.
func (b *Body) Discard() {
	if b == nil || b.Whole() || b.left.Swap(true) {
		return
	}
	if b.Broken() || b.length > Most || b.waits && !b.begun.Load() {
		return
	}
	end := time.Now().Add(Whole)
	b.wait(end) // also a read under way
	b.reading.Lock()
	defer b.reading.Unlock()
	for left, p := int64(Most), make([]byte, 8<<10); left > 0 && !b.Whole() && !b.Broken(); {
		b.wait(end)
		n, _ := b.read(p) // which remembers its error
		left -= int64(n)
	}
	if b.Whole() {
		_ = b.conn.SetReadDeadline(time.Time{}) // a connection that is gone has no next call
	}
}

// wait for the next bytes, as long as there is time. A connection that takes no deadline is gone, which
// reading tells, or one of a test.
func (b *Body) wait(end time.Time) {
	at := time.Now().Add(Pause)
	if end.Before(at) {
		at = end
	}
	_ = b.conn.SetReadDeadline(at) // see above
}
