package forward

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	// fresh is how long an answer of a component shows that a pod of it is awake. Knative takes the
	// last pod away when nothing was called for a stable window, 60 s by default and never under 6.
	fresh = 5 * time.Second
	// pause is between two questions whether a component is ready, at first and at most. Most of
	// the waiting is not there: the activator holds the question until a pod is ready.
	pause, maxPause = 50 * time.Millisecond, time.Second
	// Patience is how long the network may answer in the component's place that there is none: for
	// seconds an ingress does not know a Service that is new or that goes to sleep.
	Patience = 10 * time.Second
	// asking bounds one question: when its connection is dead, nobody tells.
	asking = 30 * time.Second
	// maxReady bounds the read of an answer to the question.
	maxReady = 4 << 10
)

// sleepers knows which components are awake, and wakes the others: one question for all calls that
// wait for one. It is safe for concurrent use.
type sleepers struct {
	transport http.RoundTripper
	now       func() time.Time

	mu   sync.Mutex
	seen map[string]time.Time // when a component, by its host, last answered
	asks map[string]*ask
}

// ask is a question that calls wait for.
type ask struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{} // closed when err is there
	err     error
}

// answered notes that a component has answered.
func (s *sleepers) answered(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[host] = s.now()
}

// awake returns when a pod of the component is, or when the context ends. The error is the
// context's, or says that the network answers in the component's place.
func (s *sleepers) awake(ctx context.Context, target *url.URL, patience time.Duration) error {
	host := target.Host
	s.mu.Lock()
	if at, ok := s.seen[host]; ok && s.now().Sub(at) < fresh {
		s.mu.Unlock()
		return nil
	}
	a := s.asks[host]
	if a == nil {
		var own context.Context
		a = &ask{done: make(chan struct{})}
		own, a.cancel = context.WithCancel(context.Background()) // not the call's: it may leave before others
		s.asks[host] = a
		go func() {
			err := s.askUntilReady(own, target, patience)
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.asks[host] == a {
				delete(s.asks, host)
			}
			a.err = err
			close(a.done)
		}()
	}
	a.waiting++
	s.mu.Unlock()
	select {
	case <-a.done:
		a.cancel()
		return a.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.waiting--; a.waiting == 0 { // nobody wants to know any more
		a.cancel()
		if s.asks[host] == a {
			delete(s.asks, host)
		}
	}
	return ctx.Err()
}

// askUntilReady asks /readyz until the component is ready.
func (s *sleepers) askUntilReady(ctx context.Context, target *url.URL, patience time.Duration) error {
	alive := s.now()
	for wait := pause; ; wait = min(2*wait, maxPause) {
		before := s.now()
		held, err := s.ready(ctx, target)
		switch {
		case err == nil:
			s.answered(target.Host)
			return nil
		case held:
			alive = s.now()
		case before.Sub(alive) >= patience:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// ready asks once. An error is held when the component itself says that it is not ready yet, or the
// activator has waited for it as long as it waits; else somebody answers in its place.
func (s *sleepers) ready(ctx context.Context, target *url.URL) (held bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target.JoinPath("readyz").String(), http.NoBody)
	if err != nil {
		return false, err
	}
	r.Header.Set("User-Agent", "unip-gateway")
	resp, err := s.transport.RoundTrip(r)
	if err != nil {
		return ctx.Err() != nil, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxReady)) // so that the connection is used again
	switch {
	case between(resp):
		return resp.StatusCode == http.StatusGatewayTimeout, fmt.Errorf("not ready: %s", resp.Status)
	case resp.StatusCode == http.StatusServiceUnavailable:
		return true, fmt.Errorf("not ready: %s", resp.Status)
	default: // whatever else it says, the call's own answer will tell
		return false, nil
	}
}
