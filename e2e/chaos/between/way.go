// Package between stands between the pods of the local cluster and what they call: the S3 server, the
// API server, the ingress of the Brokers. It passes everything on, or answers itself as a fault
// would have it, and it tells of moments: an answer that has come back from behind is held until
// whoever waits for that moment has struck.
package between

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Mode is what a Way does with a request.
type Mode int

// The modes.
const (
	Pass        Mode = iota
	Unavailable      // 503, as an S3 server says it
	TooMany          // 429, as the API server says it
	Failing          // 500, likewise
	Stall            // no answer at all, until the mode ends
	BreakOff         // the connection is closed
	Drop             // 202, and nothing is passed on
	Delay            // passed on when the mode ends
	Double           // passed on twice
)

// Way is one way to a server.
type Way struct {
	proxy  *httputil.ReverseProxy
	server *http.Server

	mu      sync.Mutex
	mode    Mode
	changed chan struct{} // closed when the mode ends
	aims    []*Moment

	held atomic.Int32 // requests that wait for the end of a mode
}

// Held is how many requests wait for the end of a mode.
func (w *Way) Held() int { return int(w.held.Load()) }

// holds is how long an answer is held at the most: longer than any strike takes to be begun.
const holds = 15 * time.Second

// New makes a way to a server. Transport is how it is called.
func New(to *url.URL, transport http.RoundTripper) *Way {
	w := &Way{changed: make(chan struct{})}
	w.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery // as it was signed
			r.Out.Host = r.In.Host
		},
		Transport:      transport,
		FlushInterval:  -1,                         // watches
		ErrorLog:       log.New(io.Discard, "", 0), // answers that break off are what is wanted
		ModifyResponse: w.answered,
		// As if it had been called itself: whoever calls a server that is away gets no answer.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	w.server = &http.Server{Handler: w, ReadHeaderTimeout: time.Minute, ErrorLog: w.proxy.ErrorLog}
	return w
}

// Serve serves until Close.
func (w *Way) Serve(l net.Listener, keys *tls.Certificate) {
	if keys == nil {
		_ = w.server.Serve(l) // Close ends it
		return
	}
	w.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*keys}, MinVersion: tls.VersionTLS12}
	_ = w.server.ServeTLS(l, "", "") // Close ends it
}

// Close ends all that is under way.
func (w *Way) Close() error {
	w.Set(Pass)
	return w.server.Close()
}

// Set changes what is done from now on. What was held up goes on.
func (w *Way) Set(m Mode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mode = m
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *Way) now() (Mode, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mode, w.changed
}

func (w *Way) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	mode, changed := w.now()
	wait := func() bool {
		w.held.Add(1)
		defer w.held.Add(-1)
		select {
		case <-changed:
			return true
		case <-r.Context().Done():
			return false
		}
	}
	switch mode {
	case Unavailable:
		out.Header().Set("Content-Type", "application/xml")
		out.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(out, `<?xml version="1.0" encoding="UTF-8"?>`+
			`<Error><Code>SlowDown</Code><Message>chaos</Message><Resource>/</Resource><RequestId>0</RequestId></Error>`)
	case TooMany:
		out.Header().Set("Retry-After", "1")
		status(out, http.StatusTooManyRequests, "TooManyRequests")
	case Failing:
		status(out, http.StatusInternalServerError, "InternalError")
	case Stall:
		wait()
		panic(http.ErrAbortHandler)
	case BreakOff:
		panic(http.ErrAbortHandler)
	case Drop:
		out.WriteHeader(http.StatusAccepted)
	case Delay:
		if wait() {
			w.proxy.ServeHTTP(out, r)
		}
	case Double:
		w.twice(out, r)
	default:
		w.proxy.ServeHTTP(out, r)
	}
}

// status answers as the API server does.
func status(out http.ResponseWriter, code int, reason string) {
	out.Header().Set("Content-Type", "application/json")
	out.WriteHeader(code)
	fmt.Fprintf(out, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"chaos","reason":%q,"code":%d}`,
		reason, code)
}

// Moment is one that is waited for.
type Moment struct {
	match  func(r *http.Request, status int) bool
	came   chan *http.Request
	struck chan struct{}
	once   sync.Once
}

// Await waits for a moment: the first answer to a request that match is true for. Its answer is held
// until Go is called.
func (w *Way) Await(match func(r *http.Request, status int) bool) *Moment {
	m := &Moment{match: match, came: make(chan *http.Request, 1), struck: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.aims = append(w.aims, m)
	return m
}

// Came gives the request when the moment has come.
func (m *Moment) Came() <-chan *http.Request { return m.came }

// Go lets the answer go its way; the moment is over, also when it did not come.
func (m *Moment) Go() { m.once.Do(func() { close(m.struck) }) }

// answered holds an answer that somebody waits for.
func (w *Way) answered(resp *http.Response) error {
	m := w.meant(resp)
	if m == nil {
		return nil
	}
	m.came <- resp.Request
	ctx, cancel := context.WithTimeout(resp.Request.Context(), holds)
	defer cancel()
	select {
	case <-m.struck:
	case <-ctx.Done():
	}
	return nil
}

// meant takes the moment that the answer is, nil for none.
func (w *Way) meant(resp *http.Response) *Moment {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.aims[:0]
	var found *Moment
	for _, m := range w.aims {
		select {
		case <-m.struck: // it is over
			continue
		default:
		}
		if found == nil && m.match(resp.Request, resp.StatusCode) {
			found = m
			continue
		}
		kept = append(kept, m)
	}
	w.aims = kept
	return found
}
