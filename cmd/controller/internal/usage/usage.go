// Package usage counts how full storage boxes are.
//
// The truth is a listing of the bucket: at the controller's start, some seconds after a
// notification has told of a change, and at least every storage.countMinutes. Between two listings
// a box's usage is raised by the sizes that notifications tell, so that a box which takes long to
// list is seen to be full all the same. A listing takes at most a tenth of the time.
//
// The result goes to status.used of the DataBox, for people, and into the installation's own bucket
// (databox.Usage), for the gateway, the servers and publish, which ask before they write.
// Unfinished uploads in parts and old versions are not counted.
package usage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

const (
	fieldOwner = client.FieldOwner("unip-usage")
	// workers bounds how many boxes are listed at once.
	workers = 2
	// passTimeout bounds one listing: some million objects.
	passTimeout = 15 * time.Minute
	// writeEvery is how often a box's usage is written at the most.
	writeEvery = 2 * time.Second
	// waiting bounds the boxes that wait to be woken; those beyond it are counted in their turn.
	waiting = 1024
)

// Counter counts all storage boxes of the cluster. Only the leader does.
type Counter struct {
	Client    client.Client
	Live      client.Reader // for the namespace, whose UID says whose a bucket is
	Events    events.EventRecorder
	Settings  *settings.Source
	Transport http.RoundTripper
	// SystemBucket is the installation's own bucket, made.
	SystemBucket func(ctx context.Context) (string, error)

	wake chan event.GenericEvent
	mu   sync.Mutex
	all  map[types.NamespacedName]*counted
}

// counted is a box and what was written of it.
type counted struct {
	tally
	woken   bool
	written databox.Usage
	at      time.Time // of the last write
}

// SetUp adds the counter to the manager.
func (c *Counter) SetUp(mgr ctrl.Manager) error {
	c.wake, c.all = make(chan event.GenericEvent, waiting), map[types.NamespacedName]*counted{}
	return ctrl.NewControllerManagedBy(mgr).Named("usage").
		For(&platformv1.DataBox{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Channel(c.wake, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](time.Second,
				time.Minute),
		}).
		Complete(c)
}

// Changed is told of every object that a notification names. It never blocks.
func (c *Counter) Changed(namespace, box string, size int64, removed bool) {
	key := types.NamespacedName{Namespace: namespace, Name: box}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.all[key]
	if x == nil {
		return // it is about to be counted for the first time
	}
	if removed {
		x.gone()
	} else {
		x.created(size)
	}
	if x.woken {
		return
	}
	o := &platformv1.DataBox{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: box}}
	select {
	case c.wake <- event.GenericEvent{Object: o}:
		x.woken = true
	default:
	}
}

// Reconcile counts a box if that is due, and writes what has changed.
func (c *Counter) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	box := &platformv1.DataBox{}
	err := c.Client.Get(ctx, req.NamespacedName, box)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, c.forget(ctx, req.NamespacedName)
	}
	if err != nil || box.Spec.S3DefaultStorage == nil || box.DeletionTimestamp != nil {
		return reconcile.Result{}, err
	}
	now := c.Settings.Current()
	store, err := now.Client(c.Transport)
	if err != nil {
		return reconcile.Result{}, err
	}
	x := c.look(req.NamespacedName)
	every := now.Config.Storage.CountEvery()
	if !time.Now().Before(c.due(x, every)) {
		err := c.count(ctx, store, now.Config.S3.Buckets, box, x)
		switch {
		case errors.Is(err, s3.ErrBucketNotOurs), s3.IsMissing(err):
			return reconcile.Result{RequeueAfter: pause}, nil // the box itself says so
		case err != nil:
			return reconcile.Result{}, err
		}
	}
	if err := c.write(ctx, store, box, x); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: max(time.Until(c.next(x, every)), 100*time.Millisecond)}, nil
}

// look finds what is known of a box, and notes that its turn has come.
func (c *Counter) look(key types.NamespacedName) *counted {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.all[key]
	if x == nil {
		x = &counted{}
		c.all[key] = x
	}
	x.woken = false
	return x
}

func (c *Counter) due(x *counted, every time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return x.due(every)
}

// next is when to look at a box again: when it is due, or when what has changed may be written.
func (c *Counter) next(x *counted, every time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := x.due(every)
	if again := x.at.Add(writeEvery); x.used != x.written.Used && again.Before(at) {
		return again
	}
	return at
}

// count lists the box. The bucket must be the box's own: its objects' sizes are nobody else's
// business.
func (c *Counter) count(
	ctx context.Context, store *minio.Client, buckets databox.BucketNames, box *platformv1.DataBox, x *counted,
) error {
	ns := &corev1.Namespace{}
	if err := c.Live.Get(ctx, types.NamespacedName{Name: box.Namespace}, ns); err != nil {
		return fmt.Errorf("reading the namespace: %w", err)
	}
	bucket := buckets.Box(box.Namespace, box.Name)
	owner := databox.Owner{Namespace: box.Namespace, NamespaceUID: string(ns.UID), Box: box.Name}
	if err := s3.CheckBucket(ctx, store, bucket, owner); err != nil {
		return err
	}
	began := time.Now()
	c.mu.Lock()
	x.begin(began)
	c.mu.Unlock()
	used, err := size(ctx, store, bucket)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		x.changed = true // so that it is counted again soon
		return fmt.Errorf("counting bucket %s: %w", bucket, err)
	}
	x.finish(used, time.Since(began))
	return nil
}

// size is how many bytes the objects of a bucket have.
func size(ctx context.Context, store *minio.Client, bucket string) (int64, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var n int64
	for o := range store.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return 0, o.Err
		}
		n += o.Size
	}
	return n, ctx.Err()
}

// write makes a change known, if there is one and the last was not a moment ago.
func (c *Counter) write(ctx context.Context, store *minio.Client, box *platformv1.DataBox, x *counted) error {
	c.mu.Lock()
	want := databox.Usage{Capacity: box.Capacity(), Used: x.used, Counted: x.counted.UTC().Truncate(time.Second)}
	before, early := x.written, time.Since(x.at) < writeEvery
	c.mu.Unlock()
	if early || before == want {
		return nil
	}
	bucket, err := c.SystemBucket(ctx)
	if err != nil {
		return err
	}
	if err := s3.WriteUsage(ctx, store, databox.UsageOf(bucket, box.Namespace, box.Name), want); err != nil {
		return err
	}
	if box.Status.Used == nil || box.Status.Used.Value() != want.Used {
		old := box.DeepCopy()
		box.Status.Used = resource.NewQuantity(want.Used, resource.DecimalSI)
		if err := c.Client.Status().Patch(ctx, box, client.MergeFrom(old), fieldOwner); err != nil {
			return client.IgnoreNotFound(err)
		}
	}
	if want.Used >= want.Capacity && (before.Used < before.Capacity || before.Capacity == 0) {
		c.Events.Eventf(box, nil, corev1.EventTypeWarning, "BoxFull", "Count",
			"%d of %d bytes are used: nothing more is taken until some of it is deleted", want.Used, want.Capacity)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x.written, x.at = want, time.Now()
	return nil
}

// forget is for a box that has gone.
func (c *Counter) forget(ctx context.Context, key types.NamespacedName) error {
	c.mu.Lock()
	delete(c.all, key)
	c.mu.Unlock()
	store, err := c.Settings.Current().Client(c.Transport)
	if err != nil {
		return err
	}
	bucket, err := c.SystemBucket(ctx)
	if err != nil {
		return err
	}
	at := databox.UsageOf(bucket, key.Namespace, key.Name)
	if err := store.RemoveObject(ctx, at.Bucket, at.Key, minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("removing the usage of a box that has gone: %w", err)
	}
	return nil
}
