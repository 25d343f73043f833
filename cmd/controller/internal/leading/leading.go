// Package leading lets one of several replicas work. Who leads holds a Lease; a term lasts from
// when it is taken until it is given back or lost. A replica that loses it goes on living: it ends
// its work, and takes part in the next election.
//
// The work of a term is over before the Lease is given back. Where the Lease is lost, for the API
// server does not answer, the work's context ends while nobody else can have it yet: RenewDeadline
// is shorter than LeaseDuration.
package leading

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

const (
	// leaseLasts is how long others wait for a leader that has gone without a word. With the
	// pauses between two looks at it, jittered, they wait at most 20 s.
	leaseLasts = 15 * time.Second
	// RenewDeadline is how long a leader tries to keep its Lease before it stops working.
	RenewDeadline = 10 * time.Second
	lookEvery     = time.Second
	// endsWithin is how long work may go on after its context has ended. It is less than Kubernetes
	// gives a pod to end.
	endsWithin = 25 * time.Second
	// The pause after a term whose work has failed grows from the one to the other.
	firstPause = time.Second
	maxPause   = 30 * time.Second
	// lastedWell is a term after which the next failure counts as the first.
	lastedWell = 5 * time.Minute
)

// ErrStillAtWork is returned for work that does not end: only the end of the process ends it.
var ErrStillAtWork = errors.New("the work of a term that is over does not end")

var (
	terms = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "unip_controller_terms_total",
		Help: "How often this replica has become the leader.",
	})
	leads = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "unip_controller_leading",
		Help: "1 in the replica that leads.",
	})
)

func init() { metrics.Registry.MustRegister(terms, leads) }

// Leader takes part in the election with Lock.
type Leader struct {
	Lock resourcelock.Interface
	// Work is done while this replica leads. It ends when its context does; when it ends before, or
	// with an error, the Lease is given back, and taken anew after a pause.
	Work func(ctx context.Context) error

	holder atomic.Value // string: the identity of who leads, as far as is known
}

// Elsewhere is the address of another replica that leads, as far as is known; "" is none.
func (l *Leader) Elsewhere() string {
	holder, _ := l.holder.Load().(string)
	if holder == l.Lock.Identity() {
		return ""
	}
	return addressOf(holder)
}

// Run takes part in elections until ctx ends. It returns nil then, and ErrStillAtWork at once when
// it must not go on.
func (l *Leader) Run(ctx context.Context) error {
	pause := firstPause
	for {
		began := time.Now()
		err := l.term(ctx)
		if errors.Is(err, ErrStillAtWork) {
			return err
		}
		if err == nil || time.Since(began) > lastedWell {
			pause = firstPause
		}
		if err != nil {
			slog.Error("a leader's term ends", "error", err, "pause", pause.String())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		if err != nil {
			pause = min(2*pause, maxPause)
		}
	}
}

// term is one election and the work that follows it.
func (l *Leader) term(ctx context.Context) error {
	// The Lease is held on when ctx ends, until the work has ended.
	holding, let := context.WithCancel(context.WithoutCancel(ctx))
	defer let()
	elected := make(chan context.Context, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: l.Lock.Describe(), Lock: l.Lock,
		LeaseDuration: leaseLasts, RenewDeadline: RenewDeadline, RetryPeriod: lookEvery,
		// Its own release may take as long as a hung API server lets it, and only then does it tell
		// that the Lease is lost. See release.
		ReleaseOnCancel: false,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) { elected <- held },
			OnStoppedLeading: func() {},
			OnNewLeader:      func(identity string) { l.holder.Store(identity) },
		},
	})
	if err != nil {
		return fmt.Errorf("election: %w", err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		elector.Run(holding)
	}()
	select {
	case <-ctx.Done():
		let()
		<-over
		l.release()
		return nil
	case held := <-elected:
		err := l.work(ctx, held)
		let()
		<-over
		if !errors.Is(err, ErrStillAtWork) {
			l.release()
		}
		return err
	}
}

// work does it while the Lease is held and ctx has not ended.
func (l *Leader) work(ctx, held context.Context) error {
	terms.Inc()
	leads.Set(1)
	defer leads.Set(0)
	slog.Info("this replica leads", "as", l.Lock.Identity())
	working, end := context.WithCancel(held)
	defer end()
	defer context.AfterFunc(ctx, end)()
	ended := make(chan error, 1)
	go func() { ended <- l.Work(working) }()
	select {
	case err := <-ended:
		return err
	case <-working.Done():
	}
	if ctx.Err() == nil {
		slog.Warn("this replica does not lead any more: it could not renew its lease")
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(endsWithin):
		return ErrStillAtWork
	}
}

// release gives the Lease back, if it is this replica's, so that another need not wait until it is
// over.
func (l *Leader) release() {
	ctx, cancel := context.WithTimeout(context.Background(), RenewDeadline/2)
	defer cancel()
	now, _, err := l.Lock.Get(ctx)
	if err == nil && now.HolderIdentity == l.Lock.Identity() {
		at := metav1.Now()
		err = l.Lock.Update(ctx, resourcelock.LeaderElectionRecord{
			LeaderTransitions: now.LeaderTransitions, LeaseDurationSeconds: 1, RenewTime: at, AcquireTime: at,
		})
	}
	if err != nil { // it ends by itself
		slog.Info("the lease is not given back", "error", err)
	}
}
