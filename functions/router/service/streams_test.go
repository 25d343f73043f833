package service

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/internal/rest"
)

// Each event is there when it was sent, and the module hears at once that its caller has left, by
// HTTP/1 and by HTTP/2.
func TestStreams(t *testing.T) {
	t.Parallel()
	for _, two := range []bool{false, true} {
		t.Run(fmt.Sprint("HTTP/2 ", two), func(t *testing.T) {
			t.Parallel()
			next, left := make(chan struct{}), make(chan struct{})
			w := start(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for i := range 3 {
					fmt.Fprintf(w, "data: %d\n\n", i)
					_ = http.NewResponseController(w).Flush()
					<-next
				}
				<-r.Context().Done()
				close(left)
			})
			p := new(http.Protocols)
			p.SetHTTP1(!two)
			p.SetUnencryptedHTTP2(two)
			tr := &http.Transport{Protocols: p}
			defer tr.CloseIdleConnections()
			ctx, leave := context.WithCancel(t.Context())
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, w.URL+"/pu-ann/files/", nil)
			resp, err := tr.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if (resp.ProtoMajor == 2) != two {
				t.Fatal(resp.Proto)
			}
			lines := bufio.NewReader(resp.Body)
			for i := range 3 {
				for _, want := range []string{fmt.Sprintf("data: %d\n", i), "\n"} {
					if got, err := lines.ReadString('\n'); err != nil || got != want {
						t.Fatalf("%q %v, want %q", got, err, want)
					}
				}
				next <- struct{}{}
			}
			leave()
			select {
			case <-left:
			case <-time.After(10 * time.Second):
				t.Error("the module was not told that its caller has left")
			}
		})
	}
}

// An upgraded connection belongs to its ends.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	w := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" ||
			r.Header.Get("Sec-WebSocket-Key") != "key" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello ")
		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(c, strings.ToUpper(line))
	})
	c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /pu-ann/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: key\r\n\r\n")
	b := bufio.NewReader(c)
	resp, err := http.ReadResponse(b, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", resp, err)
	}
	if n := w.UnderWay(); n != 1 {
		t.Errorf("%d calls under way, want the upgraded one", n)
	}
	_, _ = io.WriteString(c, "there\n")
	if all, err := io.ReadAll(b); err != nil || string(all) != "hello THERE\n" {
		t.Errorf("%q %v", all, err)
	}
}

// Trailers go both ways, and so do a length and the lack of one.
func TestTrailersAndLengths(t *testing.T) {
	t.Parallel()
	w := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v %d %s", b, err, r.ContentLength, r.Trailer.Get("X-Check"))
		w.Header().Set("X-Sum", "12")
	})
	for _, length := range []int64{4, -1} {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+"/pu-ann/x",
			io.NopCloser(strings.NewReader("body")))
		r.ContentLength = length
		want := "body <nil> 4 "
		if length < 0 {
			r.Trailer = http.Header{"X-Check": {"yes"}}
			want = "body <nil> -1 yes"
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != want || resp.Trailer.Get("X-Sum") != "12" {
			t.Errorf("%q, want %q; %v", b, want, resp.Trailer)
		}
	}
}

// A body that is not HTTP's is its sender's fault.
func TestBrokenBody(t *testing.T) {
	t.Parallel()
	w := start(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	line := w.raw(t, "POST /pu-ann/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\nhello\r\n0\r\n\r\n")
	if !strings.Contains(line, " 400 ") {
		t.Error(line)
	}
}

// An answer before the whole body has come is the caller's, also one that the router gives itself. Who
// sends on slowly is let go, and what comes then is no other call: whoever shares the connection would
// get its answer.
func TestAnAnswerBeforeTheBody(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		status int
		kind   string
		pause  time.Duration
	}{
		{http.StatusRequestEntityTooLarge, "application/problem+json", 0},
		{http.StatusRequestEntityTooLarge, "application/problem+json", rest.Pause + 500*time.Millisecond},
		{http.StatusServiceUnavailable, "text/plain", 0}, // not of the gateway
	} {
		t.Run(fmt.Sprint(x.status, " ", x.pause), func(t *testing.T) {
			t.Parallel()
			w := start(t, func(w http.ResponseWriter, _ *http.Request) {
				_ = http.NewResponseController(w).EnableFullDuplex() // it does not wait for the body
				w.Header().Set("Connection", "close")
				w.Header().Set("Content-Type", x.kind)
				w.WriteHeader(x.status)
			})
			c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, "POST /pu-ann/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
			_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
			b := bufio.NewReader(c)
			resp, err := http.ReadResponse(b, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != x.status || !resp.Close {
				t.Fatalf("%v %v", resp, err)
			}
			time.Sleep(x.pause)
			_, _ = io.WriteString(c, "GET /pu-bob/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
			if more, _ := io.ReadAll(b); len(more) > 0 {
				t.Errorf("%.100s", more)
			}
			for _, r := range w.reached() {
				if r.URL.Path != "/pu-ann/x" {
					t.Errorf("%s was called", r.URL.Path)
				}
			}
		})
	}
}

// A caller that sends all of a body before it reads hears the router's own refusal, and that of a module
// which reads nothing: the size is more than the sockets on the way hold.
func TestRefusalsComeThrough(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	all := strings.Repeat("x", size)
	w := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
	})
	for path, want := range map[string]int{"/nothing/x": 404, "/pu-ann/x": 401} {
		t.Run(path, func(t *testing.T) {
			c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, size)
			if _, err := io.WriteString(c, head+all); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != want {
				t.Error(resp, err)
			}
		})
	}
}

// The head of an answer goes with its body, in one piece.
func TestAnAnswerIsOnePiece(t *testing.T) {
	t.Parallel()
	const text = `{"title":"Unauthorized","status":401}`
	w := start(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, text)
	})
	c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 64<<10)
	for i := range 200 {
		_, _ = io.WriteString(c, "POST /pu-ann/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
		if n, err := c.Read(b); err != nil || !strings.HasSuffix(string(b[:n]), text) {
			t.Fatalf("answer %d begins with %q %v", i, b[:n], err)
		}
	}
}

// A connection that a body comes on is not handed over: its rest would reach the other end as well.
func TestNoUpgradeWithABody(t *testing.T) {
	t.Parallel()
	w := start(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Connection"), r.Header.Get("Upgrade"))
	})
	if resp, text := w.call(t, http.MethodPost, "/pu-ann/x", strings.NewReader("body"),
		"Connection", "Upgrade", "Upgrade", "websocket"); resp.StatusCode != http.StatusOK || text != "" {
		t.Errorf("%d %q", resp.StatusCode, text)
	}
}
