package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

const (
	// lanes is how many events of one module are on their way at once, and maxQueue how many wait in
	// each lane.
	lanes    = 8
	maxQueue = 128
	// perTry is how long one delivery may take: Knative's Broker answers only after all its
	// subscribers have.
	perTry = 60 * time.Second
	// tryFor is how long one event is tried again.
	tryFor = 2 * time.Minute
	// idleFor is how long a lane waits for more before it ends.
	idleFor = time.Minute
)

// ErrQueueFull is returned when too many events of a module wait.
var ErrQueueFull = errors.New("too many events of this module wait to be published")

// ErrClosed is what events get that were not published when the Publisher was closed.
var ErrClosed = errors.New("the publisher is closed")

// Publisher gives events to the Brokers of modules. Each module has lanes of its own, so a slow Broker
// of one never holds up another. Events of one run, or of one object, go in one lane and keep their
// order; others pass each other, for a Broker answers late and many files come at once.
type Publisher struct {
	resolve func(ctx context.Context, namespace string) (url string, err error)
	client  cloudevents.Client
	ctx     context.Context // the Publisher's own life, which Close ends
	stop    context.CancelFunc

	mu      sync.Mutex
	closed  bool
	queues  map[lane]chan waiting
	workers sync.WaitGroup
}

type lane struct {
	namespace string
	number    uint64
}

var laneSeed = maphash.MakeSeed()

// laneOf is the lane of an event: by its partition key, and without one by its subject.
func laneOf(namespace string, e *cloudevents.Event) lane {
	key, _ := e.Extensions()[PartitionKey].(string)
	return lane{namespace, maphash.String(laneSeed, cmp.Or(key, e.Subject())) % lanes}
}

type waiting struct {
	event cloudevents.Event
	done  func(error)
}

// NewPublisher makes a Publisher; resolve finds a module's Broker.
func NewPublisher(resolve func(ctx context.Context, namespace string) (string, error)) (*Publisher, error) {
	c, err := cloudevents.NewClientHTTP(cehttp.WithClient(http.Client{
		// A Broker does not send elsewhere, and nobody else sends us anywhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: short{&http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: idleFor,
			MaxIdleConns: 16 * lanes, MaxIdleConnsPerHost: 4 * lanes}},
	}))
	if err != nil {
		return nil, fmt.Errorf("CloudEvents client: %w", err)
	}
	p := &Publisher{resolve: resolve, client: c, queues: map[lane]chan waiting{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p, nil
}

// maxAnswer bounds what is read of a Broker's answer. It has nothing to say but its status; of an
// error it may give a reason.
const maxAnswer = 4 << 10

// short cuts the answers' bodies.
type short struct{ http.RoundTripper }

func (s short) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err // a transport's own
}

// Publish queues an event. done is called once, from another goroutine: with nil when the Broker
// has answered 2xx, else with the reason after about two minutes of trying. An error here means
// that the event was not queued and done will not be called.
func (p *Publisher) Publish(namespace string, e cloudevents.Event, done func(error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	in := laneOf(namespace, &e)
	q, ok := p.queues[in]
	if !ok {
		q = make(chan waiting, maxQueue)
		p.queues[in] = q
		p.workers.Go(func() { p.work(in, q) })
	}
	select {
	case q <- waiting{e, done}:
		return nil
	default:
		return ErrQueueFull
	}
}

// Close stops publishing; what waits gets ErrClosed.
func (p *Publisher) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.workers.Wait()
}

func (p *Publisher) work(in lane, q chan waiting) {
	idle := time.NewTimer(idleFor)
	defer idle.Stop()
	for {
		idle.Reset(idleFor)
		select {
		case w := <-q:
			w.done(p.deliver(in.namespace, w.event))
		case <-p.ctx.Done():
			for len(q) > 0 {
				(<-q).done(ErrClosed)
			}
			return
		case <-idle.C:
			p.mu.Lock()
			if len(q) == 0 {
				delete(p.queues, in)
				p.mu.Unlock()
				return
			}
			p.mu.Unlock()
		}
	}
}

// deliver tries an event until the Broker takes it.
func (p *Publisher) deliver(namespace string, e cloudevents.Event) error {
	end := time.Now().Add(tryFor)
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		err := p.once(namespace, e)
		if err == nil {
			return nil
		}
		wait := pause/2 + rand.N(pause) // spreads retries, keeps no secret
		if time.Now().Add(wait).After(end) {
			return err
		}
		select {
		case <-p.ctx.Done():
			return ErrClosed
		case <-time.After(wait):
		}
	}
}

func (p *Publisher) once(namespace string, e cloudevents.Event) error {
	ctx, cancel := context.WithTimeout(p.ctx, perTry)
	defer cancel()
	url, err := p.resolve(ctx, namespace)
	if err != nil {
		return fmt.Errorf("finding the Broker of %s: %w", namespace, err)
	}
	if r := p.client.Send(cloudevents.ContextWithTarget(ctx, url), e); !cloudevents.IsACK(r) {
		return fmt.Errorf("the Broker of %s: %w", namespace, r)
	}
	return nil
}
