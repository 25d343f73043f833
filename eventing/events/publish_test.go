package events_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/events"
)

// broker is an HTTP server in the role of a Broker's ingress.
type broker struct {
	*httptest.Server
	mu     sync.Mutex
	ids    []string
	answer func(n int) int
}

func newBroker(t *testing.T, answer func(n int) int) *broker {
	t.Helper()
	b := &broker{answer: answer}
	n := 0
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		n++
		code := b.answer(n)
		if code < 300 {
			b.ids = append(b.ids, r.Header.Get("Ce-Id"))
		}
		b.mu.Unlock()
		w.WriteHeader(code)
	}))
	t.Cleanup(b.Close)
	return b
}

func step(i int) events.Step {
	return events.Step{Type: events.StageSucceeded, Namespace: "ns", Pipeline: "p", Run: "r", RunUID: "u",
		Stage: fmt.Sprint(i), Time: time.Unix(0, 0)}
}

func publisher(t *testing.T, where map[string]string) *events.Publisher {
	t.Helper()
	p, err := events.NewPublisher(func(_ context.Context, ns string) (string, error) {
		if where[ns] == "" {
			return "", errors.New("no Broker")
		}
		return where[ns], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Events arrive in their order, each once the Broker has taken the one before, also when it refuses
// some at first.
func TestPublishKeepsOrderAndTriesAgain(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(n int) int {
		if n%3 == 1 {
			return http.StatusServiceUnavailable
		}
		return http.StatusAccepted
	})
	p := publisher(t, map[string]string{"ns": b.URL})
	done := make(chan error)
	var want []string
	for i := range 4 {
		want = append(want, step(i).ID())
		e, err := step(i).Event()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Publish("ns", e, func(err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(b.ids, want) {
		t.Errorf("%v, want %v", b.ids, want)
	}
}

// A Broker that does not answer holds up its own module only.
func TestPublishKeepsModulesApart(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer slow.Close()
	defer close(release)
	quick := newBroker(t, func(int) int { return http.StatusAccepted })
	p := publisher(t, map[string]string{"slow": slow.URL, "quick": quick.URL})
	e, err := step(1).Event()
	if err != nil {
		t.Fatal(err)
	}
	stuck := make(chan error, 1)
	if err := p.Publish("slow", e, func(err error) { stuck <- err }); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	if err := p.Publish("quick", e, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	select {
	case err := <-stuck:
		t.Errorf("the slow one has ended: %v", err)
	default:
	}
	for range 2000 {
		if err = p.Publish("slow", e, func(error) {}); err != nil {
			break
		}
	}
	if !errors.Is(err, events.ErrQueueFull) {
		t.Errorf("a full queue: %v", err)
	}
}

// Who answers at a Broker's address neither sends the controller elsewhere nor fills its memory.
func TestPublishFollowsNobody(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		followed.Store(true)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer elsewhere.Close()
	var wrote atomic.Int64
	tries := 0
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch tries++; tries {
		case 1:
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case 2: // without an end
			w.WriteHeader(http.StatusInternalServerError)
			for chunk := make([]byte, 64<<10); r.Context().Err() == nil && wrote.Load() < 1<<30; {
				n, err := w.Write(chunk)
				if wrote.Add(int64(n)); err != nil {
					return
				}
			}
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	}))
	defer b.Close()
	p := publisher(t, map[string]string{"ns": b.URL})
	e, err := step(1).Event()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	if err := p.Publish("ns", e, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || followed.Load() || tries != 3 {
		t.Errorf("%v after %d tries, followed: %t", err, tries, followed.Load())
	}
	if n := wrote.Load(); n > 64<<20 {
		t.Errorf("%d bytes of an answer were taken", n)
	}
}

func TestPublishAfterClose(t *testing.T) {
	t.Parallel()
	p := publisher(t, nil)
	e, err := step(1).Event()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	if err := p.Publish("ns", e, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if err := <-done; !errors.Is(err, events.ErrClosed) {
		t.Errorf("what waited got %v", err)
	}
	if err := p.Publish("ns", e, func(error) {}); !errors.Is(err, events.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestIDsTellNewsApart(t *testing.T) {
	t.Parallel()
	a, b := step(1), step(1)
	if a.ID() != b.ID() {
		t.Error("the same news has two ids")
	}
	b.Type = events.StageFailed
	c := step(1)
	c.Attempt = 2
	o, o2 := events.Object{Bucket: "b", Key: "k/1", Box: "x", Path: "1", Namespace: "n"},
		events.Object{Bucket: "b/k", Key: "1", Box: "x", Path: "1", Namespace: "n"}
	e1, err1 := o.Event()
	e2, err2 := o2.Event()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if a.ID() == b.ID() || a.ID() == c.ID() || e1.ID() == e2.ID() {
		t.Error("different news share an id")
	}
}
