package front

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/unip-knative/unip/functions/internal/content"
	"github.com/unip-knative/unip/functions/internal/rest"
)

const (
	// MaxBody is the usual limit of a request's body in bytes.
	MaxBody = 64 << 20
	// bodyPause is how long a caller may send nothing of a body. The whole body has the time that
	// the function has.
	bodyPause = 20 * time.Second
	// trusted is how much memory an announced length gets before its bytes have come.
	trusted = 1 << 20
)

var (
	errSlowBody = errors.New("the body came too slowly")
	errBadBody  = errors.New("the body ended before its announced length, or its chunks are not those of HTTP")
	errMemory   = errors.New("the bodies of the calls need more memory than there is")
)

// body is a request's body with its limits: its size (content.Limited below it), its pace, and the
// memory of all calls together.
type body struct {
	io.ReadCloser
	rest    *rest.Body // nil in HTTP/2
	conn    *http.ResponseController
	held    *atomic.Int64 // bytes of all calls' bodies
	most    int64         // that may be held
	read    int64
	out     int64     // bytes that have come out of a packed body
	begun   time.Time // when the first byte was asked for
	until   time.Time // the present deadline of reading
	timeout time.Duration
}

// limit gives the request's body its limits; the caller calls the body's release when the call is
// over. A request without a body has none.
//
// r must be a copy of the server's own request, as rest.Of wants it.
func (s *Server) limit(w http.ResponseWriter, r *http.Request) *body {
	if r.ContentLength == 0 {
		return nil
	}
	b := &body{
		rest: rest.Of(w, r), conn: http.NewResponseController(w), held: &s.held, most: s.maxHeld(), timeout: s.Timeout,
	}
	b.ReadCloser = content.Limited(r.Body, s.maxBody())
	b.extend(time.Now()) // also for a handler that does not read it: the server does then, before the next request
	r.Body = b
	return b
}

// extend gives the caller time for more.
func (b *body) extend(now time.Time) {
	b.until = now.Add(bodyPause)
	if end := b.begun.Add(b.timeout); !b.begun.IsZero() && b.timeout > 0 && end.Before(b.until) {
		b.until = end
	}
	_ = b.conn.SetReadDeadline(b.until) // a connection without deadlines has none
}

func (b *body) Read(p []byte) (int, error) {
	now := time.Now()
	if first := b.begun.IsZero(); first || b.until.Sub(now) < bodyPause-time.Second {
		if first {
			b.begun = now
		}
		b.extend(now)
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if !b.hold(n) {
		return 0, errMemory
	}
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF): // the deadline must not end the call while the function works
		_ = b.conn.SetReadDeadline(time.Time{}) // a connection without deadlines has none
		return n, err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, errSlowBody
	case errors.As(err, &tooLarge):
		return n, err
	default:
		return n, fmt.Errorf("%w: %w", errBadBody, err)
	}
}

// hold reports whether there is memory for n bytes more.
func (b *body) hold(n int) bool { return n == 0 || b.held.Add(int64(n)) <= b.most }

// release gives the memory back.
func (b *body) release() {
	if b != nil {
		b.held.Add(-b.read - b.out)
	}
}

// unpack takes the encoding off the request's body. What comes out has the same limits.
func (b *body) unpack(r *http.Request, most int64) error {
	if b == nil {
		return nil
	}
	packed := r.Body
	if err := content.Unpack(r, most); err != nil || r.Body == packed {
		return err
	}
	r.Body = unpacked{r.Body, b}
	return nil
}

// unpacked is a body of which more comes out than has come.
type unpacked struct {
	io.ReadCloser
	of *body
}

func (u unpacked) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	u.of.out += int64(n)
	if !u.of.hold(n) {
		return 0, errMemory
	}
	return n, err
}

// refusing is for a call that is refused, perhaps before all of its body has come.
func (b *body) refusing() {
	if b != nil {
		b.rest.Discard()
	}
}

// received is how many bytes have come.
func (b *body) received() int64 {
	if b == nil {
		return 0
	}
	return b.read
}

func (s *Server) maxBody() int64 {
	if s.MaxBody > 0 {
		return s.MaxBody
	}
	return MaxBody
}

// maxHeld is the memory for bodies: four of the largest, or what the server is told.
func (s *Server) maxHeld() int64 {
	if s.MaxHeld > 0 {
		return s.MaxHeld
	}
	return 4 * s.maxBody()
}
