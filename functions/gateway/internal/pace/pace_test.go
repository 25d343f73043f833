package pace_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/gateway/internal/pace"
)

// serve answers with what reading the body came to; a path of /unread leaves it unread.
func serve(t *testing.T, pause, whole time.Duration) net.Conn {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = pace.Limit(w, r, pause, whole)
		if r.URL.Path == "/unread" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		b, err := io.ReadAll(r.Body)
		switch {
		case errors.Is(err, pace.ErrSlow):
			w.WriteHeader(http.StatusRequestTimeout)
		case err != nil:
			w.WriteHeader(http.StatusBadRequest)
		case r.Context().Err() != nil:
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write(b)
	}))
	t.Cleanup(srv.Close)
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func status(t *testing.T, c net.Conn) int {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestABodyThatPausesEnds(t *testing.T) {
	t.Parallel()
	c := serve(t, 100*time.Millisecond, time.Hour)
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsome")
	if got := status(t, c); got != http.StatusRequestTimeout {
		t.Error(got)
	}
}

func TestABodyThatNobodyReadsEnds(t *testing.T) {
	t.Parallel()
	c := serve(t, 100*time.Millisecond, time.Hour)
	fmt.Fprint(c, "POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsome")
	if got := status(t, c); got != http.StatusUnauthorized {
		t.Error(got)
	}
}

func TestABodyThatTricklesEnds(t *testing.T) {
	t.Parallel()
	c := serve(t, time.Hour, 200*time.Millisecond)
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
		}
	}()
	if got := status(t, c); got != http.StatusRequestTimeout {
		t.Error(got)
	}
	c.Close()
	<-ended
}

func TestAWholeBodyLeavesNoDeadline(t *testing.T) {
	t.Parallel()
	var deadline time.Time
	w := deadlines{httptest.NewRecorder(), &deadline}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
	r = pace.Limit(w, r, time.Minute, time.Hour)
	if deadline.IsZero() {
		t.Error("no deadline before the body is read")
	}
	if b, err := io.ReadAll(r.Body); string(b) != "body" || err != nil || !deadline.IsZero() {
		t.Errorf("%q %v, deadline %v", b, err, deadline)
	}
	without := httptest.NewRequest(http.MethodGet, "/", nil)
	if pace.Limit(w, without, time.Minute, time.Hour) != without {
		t.Error("limits of no body")
	}
}

// A long body has more time, by what has come of it.
func TestALongBodyHasMoreTime(t *testing.T) {
	t.Parallel()
	c := serve(t, time.Hour, 200*time.Millisecond)
	const half = 2 * pace.Rate // two seconds more
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", 2*half, strings.Repeat("x", half))
	time.AfterFunc(500*time.Millisecond, func() { fmt.Fprint(c, strings.Repeat("x", half)) })
	if got := status(t, c); got != http.StatusOK {
		t.Error(got)
	}
}

// deadlines remembers the deadline of reading.
type deadlines struct {
	*httptest.ResponseRecorder
	at *time.Time
}

func (d deadlines) SetReadDeadline(at time.Time) error {
	*d.at = at
	return nil
}
