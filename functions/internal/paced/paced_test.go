package paced_test

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

	"github.com/unip-knative/unip/functions/internal/paced"
)

// serve answers 408 for a slow body, and 200 with its length after a while that is longer than the
// pause. A request for /unread leaves its body where it is.
func serve(t *testing.T, pause, total time.Duration) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = paced.Limit(w, r, pause, total)
		if r.URL.Path == "/unread" {
			return
		}
		b, err := io.ReadAll(r.Body)
		if errors.Is(err, paced.ErrSlow) {
			w.WriteHeader(http.StatusRequestTimeout)
			return
		}
		select {
		case <-r.Context().Done():
			t.Error("the call was ended while its answer was made")
		case <-time.After(2 * pause):
		}
		_, _ = fmt.Fprint(w, len(b))
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func dial(t *testing.T, address, head string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestASlowBodyIsEnded(t *testing.T) {
	t.Parallel()
	const length = "Content-Length: 1000"
	for name, c := range map[string]struct {
		pause, total time.Duration
		head         string
		drip         bool
	}{
		"a pause":                 {100 * time.Millisecond, 0, length, false},
		"a byte now and then":     {10 * time.Second, 300 * time.Millisecond, length, true},
		"chunks now and then":     {10 * time.Second, 300 * time.Millisecond, "Transfer-Encoding: chunked", true},
		"chunks that do not come": {100 * time.Millisecond, 0, "Transfer-Encoding: chunked", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, serve(t, c.pause, c.total), "POST / HTTP/1.1\r\nHost: x\r\n"+c.head+"\r\n\r\n")
			if c.drip {
				go func() {
					piece := "x"
					if strings.HasPrefix(c.head, "Transfer") {
						piece = "1\r\nx\r\n"
					}
					for range time.Tick(20 * time.Millisecond) {
						if _, err := io.WriteString(conn, piece); err != nil {
							return
						}
					}
				}()
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusRequestTimeout {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
}

// The server reads what a handler has left, so that the connection can be used again.
func TestABodyThatNobodyReadsIsEnded(t *testing.T) {
	t.Parallel()
	address := serve(t, 100*time.Millisecond, 0)
	conn := dial(t, address, "POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the connection was not closed: %v", err)
	}
}

func TestABodyThatComesIsTaken(t *testing.T) {
	t.Parallel()
	address := serve(t, 200*time.Millisecond, 10*time.Second)
	resp, err := http.Post("http://"+address, "text/plain", strings.NewReader(strings.Repeat("x", 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != fmt.Sprint(1<<20) {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
}
