package service

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/unip-knative/unip/functions/internal/recent"
)

const (
	// fresh is how long an answer of a component shows that a pod of it is awake. Knative takes the
	// last pod away when nothing was called for a stable window, 60 s by default and never under 6.
	fresh = 5 * time.Second
	// waiting bounds a question that wakes. Its gateway asks again if that was too short.
	waiting = time.Minute
	// burst and every bound how often one address wakes components of one module beside their
	// gateway. Beyond that a call is as slow as the two one after the other.
	burst = 6
	every = 10 * time.Second
	// maxBuckets bounds the addresses that are remembered, and maxWaking the questions.
	maxBuckets, maxWaking = 8192, 128
)

// waker wakes components before their gateways do.
type waker struct {
	transport http.RoundTripper
	host      func(namespace, service string) string
	now       func() time.Time
	slots     chan struct{}
	told      func(outcome string)

	mu      sync.Mutex
	buckets *recent.Map[visitor, *rate.Limiter]
}

type visitor struct {
	namespace string
	address   netip.Addr
}

func newWaker(t http.RoundTripper, host func(namespace, service string) string, told func(string)) *waker {
	return &waker{
		transport: t, host: host, now: time.Now, slots: make(chan struct{}, maxWaking), told: told,
		buckets: recent.New[visitor, *rate.Limiter](maxBuckets),
	}
}

// wake asks a component whether it is ready, so that it wakes, if it may be asleep and the call can
// be one that reaches it. It does not wait. There is one question at a time. Whether the login is
// good the gateway alone knows: so an address has so many questions, and fewer when it was refused.
func (k *waker) wake(r *http.Request, c path, from visitor) {
	switch {
	case c.component == nil, c.awake(k.now()), !calls(r.Method):
		return
	case !c.open && r.Header.Get("Authorization") == "":
		return // the gateway will refuse it
	case !c.waking.CompareAndSwap(false, true):
		return
	}
	if !k.bucket(from).AllowN(k.now(), 1) || !k.enter() {
		c.waking.Store(false)
		k.told("held back")
		return
	}
	go func() {
		defer func() {
			c.waking.Store(false)
			<-k.slots
		}()
		if k.ask(k.host(from.namespace, c.name)) {
			c.answered(k.now())
			k.told("ready")
		} else {
			k.told("not ready")
		}
	}()
}

func (k *waker) enter() bool {
	select {
	case k.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// calls reports methods that components have. A browser's question beforehand is the gateway's.
func calls(method string) bool {
	return method == http.MethodPost || method == http.MethodGet || method == http.MethodHead
}

// refused makes an address whose call the gateway has refused wait with waking.
func (k *waker) refused(from visitor) { k.bucket(from).ReserveN(k.now(), burst) }

func (k *waker) bucket(from visitor) *rate.Limiter {
	k.mu.Lock()
	defer k.mu.Unlock()
	b, ok := k.buckets.Get(from)
	if !ok {
		b = rate.NewLimiter(rate.Every(every), burst)
		k.buckets.Put(from, b)
	}
	return b
}

// ask is one question, which Knative holds until a pod is ready.
func (k *waker) ask(host string) (ready bool) {
	ctx, cancel := context.WithTimeout(context.Background(), waiting)
	defer cancel()
	u := url.URL{Scheme: "http", Host: host, Path: "/readyz"}
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), http.NoBody)
	if err != nil {
		return false
	}
	r.Header.Set("User-Agent", "unip-router")
	resp, err := k.transport.RoundTrip(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
