package boxes

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/printable"
)

// outcome is what one pass found. With a reason it becomes the box's condition Ready; without one
// (an API server that did not answer) the status stays as it is.
type outcome struct {
	ready           bool
	reason, message string
	bucket          string
	claimedFor      types.UID // the namespace of the bucket
	expires         time.Time
	puts            []platformv1.Put // answers to authors
	// err makes the queue try again with growing pauses; after is when to look again otherwise.
	err   error
	after time.Duration
}

// failed is tried again with growing pauses: the storage did not do what it should.
func failed(err error) outcome {
	return outcome{reason: platformv1.ReasonStorageError, message: err.Error(), err: err}
}

// refused waits for somebody to change something: an event of the API server, or the next look.
func refused(reason, message string) outcome {
	return outcome{reason: reason, message: message, after: soon(retryRefused)}
}

// waitsForRole turns a refusal for want of the module's Role into a reason for people.
func waitsForRole(box *platformv1.DataBox, o outcome) outcome {
	if !modulerole.Missing(o.err) {
		return o
	}
	return refused(platformv1.ReasonApplyAgain, modulerole.Message(box.Namespace))
}

// report writes the status, when it differs, and an event, when the reason is new.
func (r *Reconciler) report(ctx context.Context, box *platformv1.DataBox, o outcome) (reconcile.Result, error) {
	if apierrors.IsConflict(o.err) { // somebody wrote the box at the same time: no error, look again
		return reconcile.Result{RequeueAfter: 100 * time.Millisecond}, nil
	}
	if o.reason == "" {
		return reconcile.Result{RequeueAfter: o.after}, o.err
	}
	o.message = printable.Line(o.message)
	before := box.DeepCopy()
	old := meta.FindStatusCondition(box.Status.Conditions, platformv1.ConditionReady)
	news := old == nil || old.Reason != o.reason
	setStatus(box, o)
	if !equality.Semantic.DeepEqual(before.Status, box.Status) {
		// A merge patch without a lock: this controller is the only writer of the status, and the
		// next pass sees what it wrote.
		if err := r.Client.Status().Patch(ctx, box, client.MergeFrom(before), fieldOwner); err != nil {
			return reconcile.Result{}, wrapAPI("writing the box's status", client.IgnoreNotFound(err))
		}
	}
	if news {
		kind := corev1.EventTypeWarning
		if o.ready {
			kind = corev1.EventTypeNormal
		}
		r.Events.Eventf(box, nil, kind, o.reason, "Reconcile", "%s", o.message)
	}
	return reconcile.Result{RequeueAfter: o.after}, o.err
}

func setStatus(box *platformv1.DataBox, o outcome) {
	status := metav1.ConditionFalse
	if o.ready {
		status = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&box.Status.Conditions, metav1.Condition{
		Type: platformv1.ConditionReady, Status: status, Reason: o.reason, Message: o.message,
		ObservedGeneration: box.Generation,
	})
	box.Status.ObservedGeneration, box.Status.Puts = box.Generation, o.puts
	if o.bucket != "" {
		box.Status.Bucket = o.bucket
	}
	if o.claimedFor != "" {
		box.Status.NamespaceUID = o.claimedFor
	}
	// the Secrets were taken away
	if o.reason == platformv1.ReasonNotShared || o.reason == platformv1.ReasonBucketNotOurs {
		box.Status.Bucket, box.Status.CredentialsExpire = o.bucket, nil
	}
	if o.ready && o.expires.IsZero() { // nobody holds a session of it
		box.Status.CredentialsExpire = nil
	}
	if !o.expires.IsZero() {
		box.Status.CredentialsExpire = &metav1.Time{Time: o.expires.Truncate(time.Second)}
	}
}
