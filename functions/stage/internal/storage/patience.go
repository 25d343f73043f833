package storage

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox/s3"
)

// Limits are how long storage is waited for.
type Limits struct {
	// Patience is how long storage that does not answer is tried again, from when it did not.
	Patience time.Duration
	// Renewal is the same for a session that has ended.
	Renewal time.Duration
	// Stall is how long nothing may move on a connection before its request counts as failed.
	Stall time.Duration
}

const (
	// patience is for plans of controllers that knew none.
	patience = 10 * time.Second
	// renewal is how long a session that has ended waits at least for the next one. The controller
	// renews each at half of its life, and kubelet brings it within a minute or two; longer means
	// that the controller has been away.
	renewal = 10 * time.Minute
	// stall is as long as the storage may need for its own work on one request, a copy mostly.
	stall = time.Minute
)

const (
	// firstPause and longestPause are those between two tries.
	firstPause, longestPause = 100 * time.Millisecond, 10 * time.Second
	// tries are made of what fails in another way, though storage answers.
	tries = 5
)

func (l Limits) withDefaults() Limits {
	l.Patience = cmp.Or(l.Patience, patience)
	l.Renewal = cmp.Or(l.Renewal, max(l.Patience, renewal))
	l.Stall = cmp.Or(l.Stall, stall)
	return l
}

// client makes a client's requests fail rather than hang, and leaves trying again to Try.
func (l Limits) client(o *minio.Options) {
	o.MaxRetries = 1
	transport, err := minio.DefaultTransport(o.Secure)
	if err != nil {
		return // minio-go meets the same error, and says it
	}
	dialer := &net.Dialer{Timeout: min(10*time.Second, l.Stall)}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: c, stall: l.Stall}, nil
	}
	transport.ResponseHeaderTimeout = 0 // the connection sees to it
	transport.IdleConnTimeout = l.Stall / 2
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns
	o.Transport = transport
}

// conn is a connection on which something moves within a time, or it fails.
type conn struct {
	net.Conn
	stall time.Duration
}

func (c *conn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write puts off the end of a Read that waits for the answer, too.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Try calls transfer with the client of a session until it works or fails for good. While storage
// does not answer, or the session has ended and the next one has not come, it goes on as long as
// patience lasts. What fails in another way is tried a few times.
func (s *Sessions) Try(ctx context.Context, name string, transfer func(*minio.Client) error) error {
	x, err := s.session(ctx, name)
	if err != nil {
		return err
	}
	var away absence
	pause := firstPause
	for n := 1; ; {
		before, began := x.current(), time.Now()
		err := transfer(x.Client)
		if time.Since(began) > 2*s.limits.Stall {
			away = absence{} // so much has come of it that storage was there meanwhile
		}
		over := err != nil && x.isOver(err)
		switch {
		case err == nil:
			away.end()
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case over || s3.IsAbsent(err):
			patience := s.limits.Patience
			if over {
				patience = s.limits.Renewal
			}
			if waited := away.since(over, err); waited >= patience {
				return &PatienceError{Waited: waited.Round(time.Second), what: away.what, err: err}
			} else if left := patience - waited; pause > left {
				pause = left
			}
		default:
			if err = Classify(err); !Retry(err) || isLocal(err) || n == tries {
				return err
			}
			n++
		}
		again := func() bool { return over && x.renewed(before) }
		if err := wait(ctx, pause/2+rand.N(pause/2+1), again); err != nil {
			return err
		}
		pause = min(2*pause, longestPause)
	}
}

// PatienceError is the last error of what was tried until patience was over.
type PatienceError struct {
	Waited time.Duration
	what   string
	err    error
}

func (e *PatienceError) Error() string { return fmt.Sprintf("%s for %s: %v", e.what, e.Waited, e.err) }

// Unwrap returns the reason.
func (e *PatienceError) Unwrap() error { return e.err }

// absence is a time in which storage does not answer.
type absence struct {
	began time.Time
	what  string
}

// since notes that storage is absent, and gives how long it has been.
func (a *absence) since(over bool, err error) time.Duration {
	what := "storage has not answered"
	if over {
		what = "the S3 session has ended, and no other has come"
	}
	if a.began.IsZero() {
		a.began = time.Now()
	}
	if a.what != what {
		slog.Warn(what+"; waiting for it", "error", err)
		a.what = what
	}
	return time.Since(a.began)
}

func (a *absence) end() {
	if !a.began.IsZero() {
		slog.Info("storage answers again", "seconds", time.Since(a.began).Seconds())
	}
}
