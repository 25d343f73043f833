package boxes

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unip-knative/unip/cmd/controller/internal/namespaceuid"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/translate/installation"
)

// keepFinalizer puts the finalizer on a storage box while buckets are to be deleted with their
// boxes, and takes it off while they are not.
func (r *Reconciler) keepFinalizer(ctx context.Context, box *platformv1.DataBox) error {
	want := box.Spec.S3DefaultStorage != nil && r.Settings.Current().Config.S3.ReclaimPolicy == installation.Delete
	return r.setFinalizer(ctx, box, want)
}

func (r *Reconciler) setFinalizer(ctx context.Context, box *platformv1.DataBox, want bool) error {
	if controllerutil.ContainsFinalizer(box, Finalizer) == want {
		return nil
	}
	// The lock: a merge patch writes the whole list of finalizers, also somebody else's.
	before := box.DeepCopy()
	if want {
		controllerutil.AddFinalizer(box, Finalizer)
	} else {
		controllerutil.RemoveFinalizer(box, Finalizer)
	}
	err := r.Client.Patch(ctx, box, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}),
		fieldOwner)
	return wrapAPI("writing the box's finalizer", client.IgnoreNotFound(err))
}

// finalize deletes the bucket of a deleted box, a part in each pass, if the installation says
// Delete. The bucket of somebody else is never touched; then the box goes without it.
func (r *Reconciler) finalize(ctx context.Context, box *platformv1.DataBox) (reconcile.Result, error) {
	if !controllerutil.ContainsFinalizer(box, Finalizer) {
		return reconcile.Result{}, nil
	}
	if r.Settings.Current().Config.S3.ReclaimPolicy != installation.Delete {
		return reconcile.Result{}, r.setFinalizer(ctx, box, false)
	}
	whose, err := namespaceuid.Of(ctx, r.Live, box.Namespace, box.Status.NamespaceUID)
	if err != nil {
		return reconcile.Result{}, err
	}
	store, err := r.Settings.Open(r.Transport)
	if err != nil {
		return r.report(ctx, box, stuck(err))
	}
	bucket := store.Config.S3.Buckets.Box(box.Namespace, box.Name)
	owner := databox.Owner{Namespace: box.Namespace, NamespaceUID: string(whose.UID), Box: box.Name}
	say := func(kind, reason, note string, args ...any) {
		if !whose.Silent {
			r.Events.Eventf(box, nil, kind, reason, "Delete", note, args...)
		}
	}
	n, gone, err := s3.RemoveBucket(ctx, store.Client, bucket, owner, store.Removal(deleteBudget))
	switch {
	case errors.Is(err, s3.ErrBucketNotOurs):
		say(corev1.EventTypeWarning, platformv1.ReasonBucketNotOurs, "the bucket stays: %v", err)
	case err != nil:
		return r.report(ctx, box, stuck(err))
	case !gone:
		return r.report(ctx, box, outcome{
			reason: platformv1.ReasonDeleting, message: fmt.Sprintf("deleting bucket %s: %d objects in the last pass",
				bucket, n),
			bucket: bucket, after: time.Second,
		})
	default:
		say(corev1.EventTypeNormal, "BucketDeleted", "bucket %s was deleted", bucket)
	}
	return reconcile.Result{RequeueAfter: whose.Again()}, r.setFinalizer(ctx, box, false)
}

// stuck is a deletion that S3 holds up, with the way out for whoever waits for it.
func stuck(err error) outcome {
	o := failed(err)
	o.message = fmt.Sprintf("%v. Deletion waits for S3; to give the bucket up, remove the finalizer %s", err, Finalizer)
	return o
}
