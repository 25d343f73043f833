package rest_test

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

	"github.com/unip-knative/unip/functions/internal/rest"
)

// serve refuses every call, after what is left of its body.
func serve(t *testing.T, before func(*rest.Body)) (net.Conn, *bufio.Reader) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(r.Context())
		b := rest.Of(w, r)
		if before != nil {
			before(b)
		}
		b.Discard()
		http.Error(w, "no", http.StatusUnauthorized)
	}))
	t.Cleanup(srv.Close)
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func refused(t *testing.T, b *bufio.Reader) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || string(text) != "no\n" {
		t.Fatalf("%d %q %v", resp.StatusCode, text, err)
	}
	return resp
}

// A client that sends all before it reads hears the answer, and the connection serves its next call.
// The body is larger than what the two sockets hold.
func TestWhoSendsAllHearsTheAnswer(t *testing.T) {
	t.Parallel()
	const size = 32 << 20
	all := strings.Repeat("x", size)
	c, in := serve(t, nil)
	for name, send := range map[string]string{
		"a length": fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", size, all),
		"chunks": fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+
			"%x\r\n%s\r\n0\r\n\r\n", size, all),
		"no body": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		if _, err := io.WriteString(c, send); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if resp := refused(t, in); resp.Close {
			t.Errorf("%s: the connection ends", name)
		}
	}
}

// What is announced as too long to be waited for, and what the caller sends when it is asked for, is
// not read: the answer comes at once, and is the last of its connection.
func TestWhatIsNotRead(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"longer than is thrown away": fmt.Sprintf("Content-Length: %d", rest.Most+1),
		"waits to be asked":          "Content-Length: 1000000\r\nExpect: 100-Continue",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			c, in := serve(t, nil)
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\n"+head+"\r\n\r\n")
			if resp := refused(t, in); !resp.Close {
				t.Error("the connection goes on")
			}
			if took := time.Since(begun); took >= rest.Pause {
				t.Errorf("answered after %s", took)
			}
		})
	}
}

// Of a body whose length nobody knows as much is read as of others.
func TestHowMuchIsRead(t *testing.T) {
	t.Parallel()
	const more = 1 << 20 // than is thrown away, and than net/http reads by itself; the sockets hold it
	c, in := serve(t, nil)
	_, _ = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", rest.Most+more)
	if _, err := io.CopyN(c, zeros{}, rest.Most+more); err != nil {
		t.Fatal(err)
	}
	if resp := refused(t, in); !resp.Close {
		t.Error("the connection goes on")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// Who sends no more is let go, also when another reads at that moment, who gets nothing afterwards.
func TestWhoSendsNoMoreIsLetGo(t *testing.T) {
	t.Parallel()
	for _, beside := range []bool{false, true} {
		t.Run(fmt.Sprint("another reads ", beside), func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			ended <- http.ErrBodyReadAfterClose
			var before func(*rest.Body)
			if beside {
				before = func(b *rest.Body) {
					if _, err := b.Read(make([]byte, 4)); err != nil {
						t.Error(err)
					}
					<-ended
					go func() {
						_, _ = b.Read(make([]byte, 1))
						_, err := b.Read(make([]byte, 1))
						ended <- err
					}()
				}
			}
			begun := time.Now()
			c, in := serve(t, before)
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome")
			if resp := refused(t, in); !resp.Close {
				t.Error("the connection goes on")
			}
			if took := time.Since(begun); took < rest.Pause || took >= rest.Whole {
				t.Errorf("answered after %s", took)
			}
			if err := <-ended; !errors.Is(err, http.ErrBodyReadAfterClose) {
				t.Error(err)
			}
		})
	}
}
