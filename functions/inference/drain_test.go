package main

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// drains stops the server and wants it to end within some time.
func (c *component) drains(t *testing.T, within time.Duration) {
	t.Helper()
	begin := time.Now()
	c.stopServer()
	if took := time.Since(begin); took > within {
		t.Errorf("the server ended %s after SIGTERM, want at most %s", took, within)
	}
}

// A server that answers nothing ends at once, whatever connections there are: kept alive, opened
// and silent, in the middle of headers.
func TestAnIdleServerEndsAtOnce(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo").awaitReady()
	c.predict(200, "{}") // leaves a connection that is kept alive
	c.dial(t)            // net/http would wait 5 s for it
	if _, err := c.dial(t).Write([]byte("POST /predict HTTP/1.1\r\nHost: x")); err != nil {
		t.Fatal(err)
	}
	c.drains(t, time.Second)
}

// One that answers a call ends right after it, with the caller answered; what comes meanwhile is
// not taken.
func TestAServerEndsRightAfterItsLastCall(t *testing.T) {
	t.Parallel()
	c := start(t, dying, "f").awaitReady()
	var wg sync.WaitGroup
	var answered time.Time
	wg.Go(func() {
		c.predict(200, `{"inputs":[{"name":"w","data":"nap"}]}`)
		answered = time.Now()
	})
	eventually(t, "a call under way", func() bool { return strings.Contains(scrape(t, c), "unip_workers_busy 1") })
	c.dial(t)
	c.stopServer()
	ended := time.Now()
	wg.Wait()
	if late := ended.Sub(answered); late > time.Second {
		t.Errorf("the server ended %s after its last answer", late)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://")); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}

// A body that comes too slowly is given up; one that is never read does not hold anything.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	// a body has the function's time
	c := start(t, echo, "echo", func(o *setup) { o.timeout = time.Second }).awaitReady()
	begin := time.Now()
	resp := c.raw(t, "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	if resp == nil || resp.StatusCode != 408 || !resp.Close {
		t.Errorf("%+v", resp)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("given up after %s", took)
	}
	c.predict(200, "{}")
}

// Logs can be without the line for each request.
func TestAccessLogCanBeOff(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo", func(o *setup) { o.accessLog = false }).awaitReady()
	c.predict(200, "{}")
	c.stopServer()
	if strings.Contains(c.log.String(), `"msg":"call"`) {
		t.Error("requests are in the log")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{-1, 0, maxMaxBody + 1} {
		if err := run(context.Background(), options{maxBody: size}, io.Discard); err == nil ||
			!strings.Contains(err.Error(), "--max-body") {
			t.Errorf("%d: %v", size, err)
		}
	}
}
