package boxes

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/sessions"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// ensureStorage is the pass of a box with a bucket of its own.
func (r *Reconciler) ensureStorage(
	ctx context.Context, box *platformv1.DataBox, store settings.Store, nsUID string,
) outcome {
	bucket := store.Config.S3.Buckets.Box(box.Namespace, box.Name)
	owner := databox.Owner{Namespace: box.Namespace, NamespaceUID: nsUID, Box: box.Name}
	err := s3.ClaimBucket(ctx, store.Client, bucket, store.Config.S3.Region, owner)
	if errors.Is(err, s3.ErrBucketNotOurs) {
		if err := r.withdraw(ctx, box); err != nil {
			return outcome{err: err}
		}
		o := refused(platformv1.ReasonBucketNotOurs,
			fmt.Sprintf("%v. To hand it to this box, tag it %s=%s, %s=%s, %s=%s; else delete or rename it",
				err, databox.TagNamespace, owner.Namespace, databox.TagNamespaceUID, owner.NamespaceUID, databox.TagBox,
				owner.Box))
		o.bucket = bucket
		return o
	}
	if err != nil {
		return failed(err)
	}
	o := r.ensureSessions(ctx, box, store, Bucket{Name: bucket})
	o.claimedFor = types.UID(nsUID)
	// A server that cannot tell of uploads is no reason to take the box away; but it must be seen.
	if arn := store.Config.S3.NotificationARN; o.ready && arn != "" {
		written, err := s3.EnsureNotification(ctx, store.Client, bucket, arn)
		if err != nil {
			o.message += "; " + platformv1.UploadsUntold + ": " + err.Error()
		}
		if written && wasReady(box) {
			r.setAgain(box)
		}
	}
	return o
}

// wasReady reports a box that an earlier pass has found, or made, in order.
func wasReady(box *platformv1.DataBox) bool {
	return meta.IsStatusConditionTrue(box.Status.Conditions, platformv1.ConditionReady)
}

// setAgain tells that the notifications of a box had gone. What came meanwhile nobody has told.
func (r *Reconciler) setAgain(box *platformv1.DataBox) {
	notificationsSetAgain.Inc()
	r.Events.Eventf(box, nil, corev1.EventTypeWarning, "NotificationsSetAgain", "Reconcile",
		"the bucket did not tell of uploads any more, or is a new one; its notifications were set again")
	if r.ToldAgain != nil {
		r.ToldAgain("the notifications of box " + box.Namespace + "/" + box.Name + " had to be set again")
	}
}

// ensureView is the pass of a box that refers to another module's dataset: it gets sessions that read
// it, if the owner shares it. Whether there is such a dataset at all is not told to those with whom it
// is not shared.
func (r *Reconciler) ensureView(ctx context.Context, box *platformv1.DataBox, store settings.Store) outcome {
	ref := box.Spec.DatasetReference.DatasetComponentRef
	source, err := datasetOf(ctx, r.Client, ref, box.Namespace)
	var unshared notSharedError
	var useless *Refusal
	switch {
	case errors.As(err, &unshared):
		if err := r.withdraw(ctx, box); err != nil {
			return outcome{err: err}
		}
		return refused(platformv1.ReasonNotShared, fmt.Sprintf(
			"%v. Its owner shares it by the annotation %s: %q on the DatasetComponent, or the DataBox, %s",
			unshared, platformv1.SharedWithAnnotation, box.Namespace, ref.Name))
	case errors.As(err, &useless):
		if err := r.withdraw(ctx, box); err != nil {
			return outcome{err: err}
		}
		return refused(platformv1.ReasonNotShared, useless.Reason)
	case err != nil:
		return outcome{err: err}
	}
	ns := &corev1.Namespace{}
	if err := r.Live.Get(ctx, client.ObjectKey{Name: ref.Namespace}, ns); err != nil {
		return outcome{err: wrapAPI("reading the dataset's namespace", err)}
	}
	at := Bucket{Name: store.Config.S3.Buckets.Box(source.box.Namespace, source.box.Name), Dataset: true,
		Prefix: source.prefix}
	// Not from the source's status: what somebody may have written there is no proof of whose the
	// bucket is.
	err = s3.CheckBucket(ctx, store.Client, at.Name,
		databox.Owner{Namespace: source.box.Namespace, NamespaceUID: string(ns.UID), Box: source.box.Name})
	if errors.Is(err, s3.ErrBucketNotOurs) {
		if err := r.withdraw(ctx, box); err != nil {
			return outcome{err: err}
		}
		return refused(platformv1.ReasonBucketNotOurs, fmt.Sprintf("the dataset's bucket is not its owner's: %v", err))
	}
	if err != nil {
		return failed(fmt.Errorf("the dataset's bucket is not ready: %w", err))
	}
	return r.ensureSessions(ctx, box, store, at)
}

// SharedWith reports whether one of the globs (path.Match, so * matches within a name) names the
// namespace. A glob that is not valid names none.
func SharedWith(globs, namespace string) bool {
	between := func(r rune) bool { return strings.ContainsRune(", \n\t", r) }
	for _, g := range strings.FieldsFunc(globs, between) {
		if ok, err := path.Match(g, namespace); err == nil && ok {
			return true
		}
	}
	return false
}

// ensureSessions is the second half of a pass: the Secrets. The bucket has been checked.
func (r *Reconciler) ensureSessions(ctx context.Context, box *platformv1.DataBox, store settings.Store,
	at Bucket) outcome {
	bucket := at.Name
	wanted, fault := issues(store.Config.S3.Buckets, box, at, store.SessionLife())
	// First away with what nobody shall hold: the pass may stop at a session that cannot be made.
	if err := r.keepOnly(ctx, box, wanted); err != nil {
		return outcome{err: err}
	}
	var expires time.Time
	after := soon(checkEvery)
	message := "bucket and credentials are there"
	for _, i := range wanted {
		closed, err := r.withheld(ctx, box, store, i)
		var held sessions.Held
		if err == nil && closed == "" {
			held, err = r.ensureSession(ctx, box, store, i)
		}
		if err != nil {
			return sessionFault(err, bucket)
		}
		if closed != "" {
			message += "; " + platformv1.NoUploadLinks + ": " + closed
			continue
		}
		if expires.IsZero() || held.Expires.Before(expires) {
			expires = held.Expires
		}
		after = min(after, max(time.Until(held.Due), time.Second))
	}
	if fault != nil { // the spec must change; until then the other sessions are kept
		return outcome{reason: platformv1.ReasonCredentialsError, message: fault.Error(), bucket: bucket,
			expires: expires, after: after}
	}
	return outcome{ready: true, reason: platformv1.ReasonReady, message: message, bucket: bucket,
		expires: expires, after: after}
}

// sessionFault is what is told of a session that cannot be made or given out.
func sessionFault(err error, bucket string) outcome {
	if isAPI(err) && !errors.Is(err, sessions.ErrSecret) {
		return outcome{err: err} // the API server's trouble is not the box's
	}
	o := failed(err)
	switch {
	case errors.Is(err, sessions.ErrKeys):
		o = refused(platformv1.ReasonCredentialsError, err.Error())
	case errors.Is(err, s3.ErrNoSTS), errors.Is(err, sessions.ErrRefused), errors.Is(err, sessions.ErrSecret):
		o.reason = platformv1.ReasonCredentialsError
	}
	o.bucket = bucket
	return o
}
