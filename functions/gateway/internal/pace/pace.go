// Package pace ends request bodies that come too slowly: a connection costs the gateway memory, and
// many cost it pods.
package pace

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	// Pause is how long a caller may send nothing of a body.
	Pause = 20 * time.Second
	// Whole is how long a body may take, beside a second for each Rate bytes of it that have come.
	Whole = time.Minute
	// Rate in bytes a second is the least that a long body comes with: it is slower than any modem
	// line that still carries a file, and faster than a caller who only holds the connection.
	Rate = 16 << 10
)

// ErrSlow ends a body that came too slowly.
var ErrSlow = errors.New("the body came too slowly")

// body is a request's body with its limits of time.
type body struct {
	io.ReadCloser
	conn         *http.ResponseController
	pause, whole time.Duration
	begun        time.Time // when the first byte was asked for
	received     int64
	until        time.Time // the present deadline of reading
}

// Limit is r with limits of its body. A request without a body stays as it is, and r itself keeps its
// own.
//
// A body that nobody reads has limits too: the server reads it before it sends the answer.
func Limit(w http.ResponseWriter, r *http.Request, pause, whole time.Duration) *http.Request {
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return r
	}
	b := &body{ReadCloser: r.Body, conn: http.NewResponseController(w), pause: pause, whole: whole}
	b.extend(time.Now())
	r = r.WithContext(r.Context())
	r.Body = b
	return r
}

// extend gives the caller time for more.
func (b *body) extend(now time.Time) {
	b.until = now.Add(b.pause)
	if end := b.begun.Add(b.whole + time.Duration(b.received/Rate)*time.Second); !b.begun.IsZero() &&
		end.Before(b.until) {
		b.until = end
	}
	_ = b.conn.SetReadDeadline(b.until) // a connection without deadlines has none
}

func (b *body) Read(p []byte) (int, error) {
	now := time.Now()
	if b.begun.IsZero() {
		b.begun = now
	}
	b.extend(now)
	n, err := b.ReadCloser.Read(p)
	b.received += int64(n)
	switch {
	case errors.Is(err, io.EOF): // the deadline must not end the call while it is answered
		_ = b.conn.SetReadDeadline(time.Time{}) // a connection without deadlines has none
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("%w: %w", ErrSlow, err)
	}
	return n, err
}
