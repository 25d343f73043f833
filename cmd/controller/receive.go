package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/limited"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/cmd/controller/internal/uploads"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/names"
)

// A receiver's connections, in all and of one address. Knative's dispatcher has one address and may
// have a connection for each event that it delivers; a connection takes some 10 KiB.
const (
	maxConnections      = 2048
	maxConnectionsOfOne = 1024
)

// serve answers on an address until ctx ends; "0" is nowhere.
func serve(address string, h http.Handler) func(context.Context) error {
	return serveTLS(address, nil, h)
}

// serveTLS does it with a certificate, where there is one.
func serveTLS(address string, secure *tls.Config, h http.Handler) func(context.Context) error {
	return func(ctx context.Context) error {
		if address == "0" || address == "" {
			return nil
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("listening: %w", err)
		}
		l = limited.Listen(l, maxConnections, maxConnectionsOfOne)
		if secure != nil {
			l = tls.NewListener(l, secure)
		}
		s := &http.Server{
			Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: time.Minute,
			IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
			ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(l) }()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
		}
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(stop); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	}
}

// boxOf finds the box of a bucket among those of the cluster; a bucket's name is made of its box's
// and its namespace's.
func boxOf(
	ctx context.Context, c client.Client, buckets databox.BucketNames, bucket string,
) (string, string, bool, error) {
	var all platformv1.DataBoxList
	if err := c.List(ctx, &all); err != nil {
		return "", "", false, err
	}
	for i := range all.Items {
		b := &all.Items[i]
		if b.Spec.S3DefaultStorage != nil && buckets.Box(b.Namespace, b.Name) == bucket {
			ready := meta.FindStatusCondition(b.Status.Conditions, platformv1.ConditionReady)
			foreign := ready != nil && ready.Reason == platformv1.ReasonBucketNotOurs
			return b.Namespace, b.Name, !foreign, nil
		}
	}
	return "", "", false, nil
}

const (
	// requestsPerSecond bounds the requests to the API server for objects of one kind, whose own
	// fairness is behind this. A run that comes costs one, so that the uploads of one module leave
	// some for all others' runs to go on by.
	requestsPerSecond = 100
	// startsPerSecond bounds the runs that uploads start, apart from the requests by which runs go on:
	// a flood of uploads starves none of them.
	startsPerSecond = 60
)

// runsClient creates runs.
func (r *replica) runsClient() (client.Client, error) {
	cfg := rest.CopyConfig(r.config)
	cfg.RateLimiter, cfg.QPS, cfg.Burst = nil, startsPerSecond, 2*startsPerSecond
	return client.New(cfg, client.Options{Scheme: r.scheme, Mapper: r.cluster.GetRESTMapper()})
}

// inbox is where notifications wait, in the controller's own bucket.
type inbox struct {
	settings *settings.Source
	live     client.Reader
	clock    *s3.Clock

	mu      sync.Mutex
	claimed string     // the endpoint and the bucket that was
	lent    time.Time  // until when it is used unclaimed
	asked   chan whose // where the answer comes to the question that is under way
}

// whose the bucket must be, or why that cannot be known.
type whose struct {
	databox.Owner
	err error
}

// lend is how long a bucket is used that could not be claimed.
const lend = 10 * time.Second

// claimTimeout bounds the question whose the bucket must be: S3 waits for the answer to its
// notification.
const claimTimeout = 3 * time.Second

func newInbox(src *settings.Source, transport http.RoundTripper, live client.Reader) *inbox {
	return &inbox{settings: src, live: live, clock: &s3.Clock{Transport: transport}}
}

// open gives the inbox. It is claimed once, for which the UIDs of the cluster and of the controller's
// namespace are needed. While the API server does not answer, a bucket that was claimed for a
// namespace of that name will do for a moment.
func (i *inbox) open(ctx context.Context) (uploads.Inbox, error) {
	now := i.settings.Current()
	c, err := now.Client(i.clock)
	if err != nil {
		return uploads.Inbox{}, err
	}
	out := uploads.Inbox{Client: c, Bucket: now.Config.S3.Buckets.System(), Clock: i.clock}
	i.mu.Lock()
	defer i.mu.Unlock()
	at := now.Config.S3.Endpoint + "/" + out.Bucket
	if i.claimed == at || time.Now().Before(i.lent) {
		return out, nil
	}
	owner := i.ask(ctx)
	if apierrors.IsNotFound(owner.err) || apierrors.IsForbidden(owner.err) {
		return out, fmt.Errorf("reading whose the inbox is: %w", owner.err)
	}
	if owner.err != nil {
		if err := s3.CheckBucketOfAny(ctx, c, out.Bucket, inboxOf("", "")); err != nil {
			return out, fmt.Errorf("the inbox, while the API server does not answer: %w", err)
		}
		i.lent = time.Now().Add(lend)
		return out, nil
	}
	err = s3.ClaimBucket(ctx, c, out.Bucket, now.Config.S3.Region, owner.Owner)
	if errors.Is(err, s3.ErrBucketNotOurs) {
		return out, fmt.Errorf("the inbox: %w; another cluster's unip uses this S3 server, or one did that is gone "+
			"(docs/installing.md, Taking it away)", err)
	}
	if err != nil {
		return out, fmt.Errorf("the inbox: %w", err)
	}
	i.claimed = at
	return out, nil
}

var errNoAnswer = errors.New("the API server does not answer in time")

func inboxOf(clusterUID, namespaceUID string) databox.Owner {
	return databox.Owner{Namespace: names.SystemNamespace, NamespaceUID: namespaceUID, Box: databox.RunsBox,
		ClusterUID: clusterUID}
}

// ask asks for the UIDs, and waits for the answer for a while. A question may hang for as long as its
// connection, whatever its context says: where the client has first to learn what the server knows.
func (i *inbox) ask(ctx context.Context) whose {
	if i.asked == nil {
		answer := make(chan whose, 1)
		i.asked = answer
		go func() {
			ctx := context.WithoutCancel(ctx)
			var cluster, own corev1.Namespace
			err := i.live.Get(ctx, types.NamespacedName{Name: metav1.NamespaceSystem}, &cluster)
			if err == nil {
				err = i.live.Get(ctx, types.NamespacedName{Name: names.SystemNamespace}, &own)
			}
			answer <- whose{inboxOf(string(cluster.UID), string(own.UID)), err}
		}()
	}
	wait := time.NewTimer(claimTimeout)
	defer wait.Stop()
	select {
	case answer := <-i.asked:
		i.asked = nil
		return answer
	case <-ctx.Done():
		return whose{err: ctx.Err()}
	case <-wait.C:
		return whose{err: errNoAnswer}
	}
}
