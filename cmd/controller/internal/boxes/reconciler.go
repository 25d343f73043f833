package boxes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/cmd/controller/internal/uploadlinks"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/names"
)

const (
	// Finalizer stands on storage boxes while the installation's reclaimPolicy is Delete, and only
	// then: under Retain a box can be deleted while the controller is away.
	Finalizer = "unified-platform.cs.hse.ru/bucket"
	// SecretLabel marks the Secrets made here; its value is the box.
	SecretLabel = "knative.unified-platform.cs.hse.ru/databox"

	fieldOwner = client.FieldOwner(names.Controller)

	// checkEvery is how often a healthy box is looked at again: nothing tells of a bucket or a
	// session that went away in S3, nor of a Secret that somebody has changed, for Secrets are not
	// watched. A pass costs one small call, and one more for each session.
	checkEvery = 5 * time.Minute
	// retryRefused is how often a box is tried that only somebody else's deed can mend, in S3,
	// where the controller sees no event.
	retryRefused = time.Minute
	// passTimeout bounds one pass over one box, S3 calls included, so that a hanging S3 cannot hold
	// the workers for ever.
	passTimeout = time.Minute
	// deleteBudget is how much of a pass goes into deleting objects.
	deleteBudget = 20 * time.Second

	workers = 4
)

// Reconciler makes and keeps what a DataBox needs.
type Reconciler struct {
	Client   client.Client // its reads come from the cache: other boxes
	Live     client.Reader // reads from the API server: the box itself, its Secrets, its Namespace
	Events   events.EventRecorder
	Settings *settings.Source
	// Transport carries all S3 calls.
	Transport http.RoundTripper
	// UploadLinks knows whether upload links are safe; nil asks nobody.
	UploadLinks *uploadlinks.Guard
	// ToldAgain is told that a box's notifications had to be set again: some may be missing. It must
	// not block.
	ToldAgain func(why string)

	wake chan event.GenericEvent
}

// Look makes the controller look at a box soon. It never blocks; the next look of its own comes in
// any case.
func (r *Reconciler) Look(box types.NamespacedName) {
	select {
	case r.wake <- event.GenericEvent{Object: &platformv1.DataBox{ObjectMeta: metav1.ObjectMeta{
		Namespace: box.Namespace, Name: box.Name}}}:
	default:
	}
}

// SetUp adds the reconciler to the manager. The cache's RoleBindings must be limited to
// modulerole.InCache.
func (r *Reconciler) SetUp(mgr ctrl.Manager) error {
	r.wake = make(chan event.GenericEvent, 64)
	all := make(chan event.GenericEvent, 1)
	r.Settings.OnChange(func() {
		select {
		case all <- event.GenericEvent{Object: &platformv1.DataBox{}}:
		default: // the one before has not been taken yet
		}
	})
	everyBox := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, _ client.Object) []reconcile.Request {
		return r.requests(ctx, func(*platformv1.DataBox) bool { return true })
	})
	viewers := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		// Of a box not only those that name it: a DatasetComponent may be a folder of it.
		_, whole := o.(*platformv1.DataBox)
		return r.requests(ctx, func(b *platformv1.DataBox) bool {
			ref := b.Spec.DatasetReference
			return ref != nil && (whole || ref.DatasetComponentRef.Name == o.GetName()) &&
				ref.DatasetComponentRef.Namespace == o.GetNamespace()
		})
	})
	// Not the status, which is our own doing: an error's text that differs each time would go round
	// the queue's pauses.
	ofUsers := builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{},
		predicate.AnnotationChangedPredicate{}))
	return ctrl.NewControllerManagedBy(mgr).
		For(&platformv1.DataBox{}, ofUsers).
		WatchesMetadata(modulerole.Binding(), modulerole.Wake(r.Client,
			func() client.ObjectList { return &platformv1.DataBoxList{} })).
		Watches(&platformv1.DataBox{}, viewers, ofUsers).
		Watches(&platformv1.DatasetComponent{}, viewers, ofUsers).
		WatchesRawSource(source.Channel(all, everyBox)).
		WatchesRawSource(source.Channel(r.wake, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
				200*time.Millisecond, time.Minute),
		}).
		Complete(r)
}

// requests is one request for each box in the cache that is wanted.
func (r *Reconciler) requests(ctx context.Context, wanted func(*platformv1.DataBox) bool) []reconcile.Request {
	var l platformv1.DataBoxList
	if err := r.Client.List(ctx, &l); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range l.Items {
		if wanted(&l.Items[i]) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&l.Items[i])})
		}
	}
	return out
}

// Reconcile is one pass over one box.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	box := &platformv1.DataBox{}
	// Live: the cache may not have the status of the pass before yet.
	if err := r.Live.Get(ctx, req.NamespacedName, box); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if box.DeletionTimestamp != nil {
		return r.finalize(ctx, box)
	}
	ns := &corev1.Namespace{}
	if err := r.Live.Get(ctx, client.ObjectKey{Name: box.Namespace}, ns); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if ns.DeletionTimestamp != nil { // the box is next
		return reconcile.Result{}, nil
	}
	return r.report(ctx, box, r.answerPuts(ctx, box, waitsForRole(box, r.ensure(ctx, box, string(ns.UID)))))
}

// ensure does the work of a pass for a living box.
func (r *Reconciler) ensure(ctx context.Context, box *platformv1.DataBox, nsUID string) outcome {
	if err := r.keepFinalizer(ctx, box); err != nil {
		return outcome{err: err}
	}
	s3, err := r.Settings.Open(r.Transport)
	if err != nil {
		return failed(err)
	}
	if box.Spec.DatasetReference != nil {
		return r.ensureView(ctx, box, s3)
	}
	return r.ensureStorage(ctx, box, s3, nsUID)
}

// soon spreads the passes of many boxes.
func soon(d time.Duration) time.Duration { return d - time.Duration(rand.Int64N(int64(d)/10+1)) }

// isAPI reports an answer of the API server.
func isAPI(err error) bool {
	var s apierrors.APIStatus
	return errors.As(err, &s)
}

func wrapAPI(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
