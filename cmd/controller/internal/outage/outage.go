// Package outage knows whether S3 answers, from the requests that the controller makes anyway. It
// asks nothing itself.
//
// What it never does: hold a request back, or decide what an outage means.
package outage

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// Watch carries requests on and remembers what came of them.
type Watch struct {
	next http.RoundTripper

	mu    sync.Mutex
	since time.Time
}

// New watches the requests that next carries.
func New(next http.RoundTripper) *Watch { return &Watch{next: next} }

// Since is when the first of the last requests was made that all had no answer. It is zero while
// the last one had one.
func (w *Watch) Since() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.since
}

// RoundTrip carries a request on.
func (w *Watch) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	answer, err := w.next.RoundTrip(r)
	if errors.Is(err, context.Canceled) { // who asked does not want to know any more
		return answer, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil && !away(answer.StatusCode):
		w.since = time.Time{}
	case w.since.IsZero():
		w.since = began
	}
	return answer, err
}

// away reports the answers of a server that starts or ends, and of a proxy without one.
func away(status int) bool {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
