package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcluster "sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/unip-knative/unip/cmd/controller/internal/broker"
	"github.com/unip-knative/unip/cmd/controller/internal/leading"
	"github.com/unip-knative/unip/cmd/controller/internal/outage"
	"github.com/unip-knative/unip/cmd/controller/internal/scrape"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/cmd/controller/internal/starts"
	"github.com/unip-knative/unip/cmd/controller/internal/traces"
	"github.com/unip-knative/unip/cmd/controller/internal/uploadlinks"
	"github.com/unip-knative/unip/cmd/controller/internal/uploads"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
)

// replica is what lives as long as the process, whether it leads or not and whether there is an API
// server or not: the receivers with what they need, and the election. What a leader does is a term.
type replica struct {
	config    *rest.Config
	scheme    *runtime.Scheme
	settings  *settings.Source
	transport *outage.Watch // S3's
	options   options

	// cluster holds the boxes and the pipelines that requests name.
	cluster       ctrlcluster.Cluster
	brokers       *broker.Finder
	publisher     *events.Publisher
	maker         *starts.Maker
	inbox         *inbox
	notifications *uploads.Receiver
	hints         http.Handler
	leader        *leading.Leader
	traces        *traces.Exporter
	links         *uploadlinks.Guard

	// term is the present one, nil while another replica leads.
	term atomic.Pointer[term]
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, platformv1.AddToScheme,
		runtimev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("scheme: %w", err)
		}
	}
	return scheme, nil
}

func newReplica(cfg *rest.Config, src *settings.Source, transport *outage.Watch, o options) (*replica, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = requestsPerSecond, 2*requestsPerSecond
	r := &replica{config: cfg, scheme: scheme, settings: src, transport: transport, options: o,
		traces: &traces.Exporter{}}
	r.cluster, err = ctrlcluster.New(cfg, func(c *ctrlcluster.Options) {
		c.Scheme = scheme
		c.Cache = cache.Options{DefaultTransform: cache.TransformStripManagedFields()}
	})
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	r.brokers = &broker.Finder{Live: r.cluster.GetAPIReader(),
		Config: func() installation.Config { return src.Current().Config }}
	if r.publisher, err = events.NewPublisher(r.brokers.URL); err != nil {
		return nil, err
	}
	creator, err := r.runsClient()
	if err != nil {
		return nil, err
	}
	r.maker = &starts.Maker{Client: r.cluster.GetClient(), Live: r.cluster.GetAPIReader(), Settings: src,
		Transport: transport, Runs: creator}
	r.inbox = newInbox(src, transport, r.cluster.GetAPIReader())
	plain, err := minio.DefaultTransport(true)
	if err != nil {
		return nil, fmt.Errorf("S3 transport: %w", err)
	}
	r.links = &uploadlinks.Guard{Transport: plain, Bucket: func(ctx context.Context) (string, error) {
		i, err := r.inbox.open(ctx)
		return i.Bucket, err
	}}
	r.notifications = &uploads.Receiver{
		Token: func() string { return src.Current().WebhookToken }, Inbox: r.inbox.open,
		Ours:    func(bucket string) bool { return src.Current().Config.S3.Buckets.MayBeBox(bucket) },
		Topic:   func() string { return src.Current().Config.S3.NotificationARN },
		Publish: r.publisher.Publish, Started: r.maker.Started, Start: r.maker.Told,
		Grace: func() time.Duration { return src.Current().Config.Runs.Grace() }, Delivered: r.brokers.Delivered,
		Changed: func(namespace, box string, size int64, removed bool) {
			if t := r.term.Load(); t != nil {
				t.counter.Changed(namespace, box, size, removed)
			}
		},
		Box: func(ctx context.Context, bucket string) (string, string, bool, error) {
			return boxOf(ctx, r.cluster.GetClient(), src.Current().Config.S3.Buckets, bucket)
		},
	}
	if err := r.takePart(); err != nil {
		return nil, err
	}
	r.hints = leading.NewPassOn(starts.Receiver{
		Hint: func(ctx context.Context, run types.NamespacedName) {
			if t := r.term.Load(); t != nil {
				t.runs.Hint(ctx, run)
			}
		},
		Ping: func(ctx context.Context, pipeline types.NamespacedName) {
			if t := r.term.Load(); t != nil {
				t.schedules.Look(ctx, pipeline)
			}
		},
		Upload: r.maker.Upload, DeadLetter: r.maker.DeadLetter, Leading: func() bool { return r.term.Load() != nil },
	}.Handler(), r.leader.Elsewhere)
	return r, nil
}

// takePart prepares the election.
func (r *replica) takePart() error {
	namespace := r.options.leaseNamespace
	if namespace == "" {
		b, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
		if err != nil {
			return fmt.Errorf("the lease's namespace: %w", err)
		}
		namespace = string(b)
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	address := ""
	if _, port, err := net.SplitHostPort(r.options.events); err == nil && r.options.advertise != "" {
		address = net.JoinHostPort(r.options.advertise, port)
	}
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, namespace, names.Controller,
		resourcelock.ResourceLockConfig{Identity: leading.Identity(host, address)},
		rest.AddUserAgent(r.config, "leader-election"), leading.RenewDeadline)
	if err != nil {
		return fmt.Errorf("lease: %w", err)
	}
	r.leader = &leading.Leader{Lock: lock, Work: r.lead}
	return nil
}

// run receives and takes part in elections until ctx ends.
func (r *replica) run(ctx context.Context) error {
	// Receiving ends last: for a moment others still send here, and what a term does may be told.
	receiving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer r.publisher.Close()
	defer r.traces.Close()
	working, stop := context.WithCancel(ctx)
	defer stop()

	var all sync.WaitGroup
	ended := make(chan error, 16) // one of each part at the most
	also := func(ctx context.Context, part func(context.Context) error) {
		all.Go(func() {
			if err := part(ctx); err != nil {
				ended <- err
				stop()
			}
		})
	}
	also(receiving, serve(r.options.health, health()))
	also(receiving, r.serveMetrics)
	also(receiving, serve(r.options.events, r.hints))
	also(receiving, serve(r.options.s3Events, r.notifications))
	also(receiving, r.notifications.Deliver)
	also(receiving, r.settings.Follow)
	also(receiving, r.cluster.Start)
	also(receiving, r.warm)
	also(working, r.leader.Run)
	<-working.Done()
	if ctx.Err() != nil {
		time.Sleep(r.options.drain)
	}
	end()
	all.Wait()
	close(ended)
	var errs []error
	for err := range ended {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// serveMetrics serves them by TLS to those whom the API server knows and allows.
func (r *replica) serveMetrics(ctx context.Context) error {
	secure, err := scrape.Certificate()
	if err != nil {
		return err
	}
	guard, err := scrape.New(r.config, promhttp.HandlerFor(metrics.Registry,
		promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	if err != nil {
		return err
	}
	return serveTLS(r.options.metrics, secure, guard)(ctx)
}

// warm fills the cache that requests are answered from, so that none waits for it, and the first
// ones do not find the API server away.
func (r *replica) warm(ctx context.Context) error {
	for _, o := range []client.Object{&platformv1.DataBox{}, &runtimev1.Pipeline{}} {
		// The only error is the context's.
		_ = wait.PollUntilContextCancel(ctx, 5*time.Second, true, func(ctx context.Context) (bool, error) {
			_, err := r.cluster.GetCache().GetInformer(ctx, o, cache.BlockUntilSynced(false))
			return err == nil, nil
		})
	}
	return nil
}

// health tells that the process receives.
func health() http.Handler {
	m := http.NewServeMux()
	for _, path := range []string{"/healthz", "/readyz"} {
		m.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	}
	return m
}
