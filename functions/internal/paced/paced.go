// Package paced ends requests' bodies that come too slowly: a caller who sends a byte now and then
// would hold a connection, and with it a pod, for as long as he likes.
package paced

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/unip-knative/unip/functions/internal/problem"
)

// ErrSlow ends a body whose next bytes did not come in time. The answer to it is 408.
var ErrSlow = errors.New("the body came too slowly")

// Refuse answers a call whose body ended in ErrSlow.
func Refuse(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close") // the rest of the body is not read
	problem.Write(w, r, problem.New(problem.Timeout, http.StatusRequestTimeout, "", "the request's body came too slowly"))
}

// body is a request's body with a deadline for its next bytes.
type body struct {
	io.ReadCloser
	conn  *http.ResponseController
	pause time.Duration
	until time.Time // the present deadline
	end   time.Time // of the whole body; zero for none
}

// Limit is r with a pace for its body: its next bytes come within pause, and all of it within total,
// where that is not zero; else reading it ends in ErrSlow. It holds for a handler that does not read the
// body, too: the server does that for it, before the next request.
//
// w must be what the server gave, or unwrap to it.
func Limit(w http.ResponseWriter, r *http.Request, pause, total time.Duration) *http.Request {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return r
	}
	now := time.Now()
	b := &body{ReadCloser: r.Body, conn: http.NewResponseController(w), pause: pause}
	if total > 0 {
		b.end = now.Add(total)
	}
	b.extend(now)
	paced := r.WithContext(r.Context()) // the server goes on by the body that it knows
	paced.Body = b
	return paced
}

// extend gives the caller time for more.
func (b *body) extend(now time.Time) {
	b.until = now.Add(b.pause)
	if !b.end.IsZero() && b.end.Before(b.until) {
		b.until = b.end
	}
	_ = b.conn.SetReadDeadline(b.until) // a connection without deadlines has none
}

func (b *body) Read(p []byte) (int, error) {
	if now := time.Now(); b.until.Sub(now) < b.pause-time.Second { // not for each of many small reads
		b.extend(now)
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF): // the deadline must not end the call while its answer is made
		_ = b.conn.SetReadDeadline(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = ErrSlow
	}
	return n, err
}
