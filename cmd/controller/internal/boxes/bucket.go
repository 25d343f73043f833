package boxes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// Buckets hands out the buckets of boxes, each with the proof of whose it is: the box is there and
// Ready, and the bucket's tags name the namespace's UID. A bucket's name alone proves nothing: it
// is the same for a namespace that was deleted and made again by other people, and for another
// cluster on the same S3.
//
// Whoever opens a bucket with the installation's own key, or makes a session for one, asks here,
// every time.
type Buckets struct {
	Boxes      client.Reader // may be a cache
	Namespaces client.Reader // reads from the API server
}

// Bucket is one that has been proved.
type Bucket struct {
	Name string
	// Dataset is another module's box that is shared: only the developer's area of it, only to be
	// read.
	Dataset bool
	// Prefix is what all keys of a dataset begin with that is a part of a box; it ends in "/".
	Prefix string
	// Capacity in bytes of a box of the module's own.
	Capacity int64
}

// Refusal is why a bucket is not handed out.
type Refusal struct {
	Reason string
	// Wait says that it may be handed out later without anybody's doing: the box is being made
	// ready.
	Wait bool
}

func (r *Refusal) Error() string { return r.Reason }

func refusef(format string, args ...any) error { return &Refusal{Reason: fmt.Sprintf(format, args...)} }

// Of hands out the bucket of a box of the namespace. The error is a *Refusal, or the API server's
// or S3's.
func (b Buckets) Of(ctx context.Context, store settings.Store, namespace, box string) (Bucket, error) {
	x := &platformv1.DataBox{}
	err := b.Boxes.Get(ctx, types.NamespacedName{Namespace: namespace, Name: box}, x)
	if apierrors.IsNotFound(err) {
		return Bucket{}, refusef("there is no DataBox %s", box)
	}
	if err != nil {
		return Bucket{}, wrapAPI("reading the box "+box, err)
	}
	return b.prove(ctx, store, x)
}

// Named hands out a bucket by its name, and paths in it, as a run's status has them: keys, and
// prefixes of keys. Each is only given where a box of the namespace leads to it now.
func (b Buckets) Named(ctx context.Context, store settings.Store, namespace, bucket string, paths ...string) error {
	var all platformv1.DataBoxList
	if err := b.Boxes.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		return wrapAPI("reading the boxes", err)
	}
	left := slices.Clone(paths)
	err := refusef("no DataBox has the bucket %s", bucket)
	for i := 0; i < len(all.Items) && len(left) > 0; i++ {
		at, e := b.locate(ctx, &all.Items[i])
		if e == nil && store.Config.S3.Buckets.Box(at.box.Namespace, at.box.Name) != bucket {
			continue
		}
		var refusal *Refusal
		if errors.As(e, &refusal) { // of a dataset that leads nowhere
			if all.Items[i].Status.Bucket == bucket {
				err = e
			}
			continue
		}
		if e == nil {
			_, e = b.prove(ctx, store, &all.Items[i])
		}
		if errors.As(e, &refusal) {
			err = e // and another box may lead there
			continue
		}
		if e != nil {
			return e
		}
		left = slices.DeleteFunc(left, func(p string) bool { return strings.HasPrefix(p, at.prefix) })
	}
	if len(left) > 0 {
		return err
	}
	return nil
}

// Runs hands out the module's run bucket.
func (b Buckets) Runs(ctx context.Context, store settings.Store, namespace string) (string, error) {
	bucket := store.Config.S3.Buckets.Runs(namespace)
	return bucket, b.check(ctx, store.Client, bucket, namespace, databox.RunsBox)
}

// locate finds in whose bucket the files of a box lie, and where in it: of a dataset in another
// module's. The error is a *Refusal, or the API server's.
func (b Buckets) locate(ctx context.Context, box *platformv1.DataBox) (dataset, error) {
	if box.Spec.DatasetReference == nil {
		return dataset{box: client.ObjectKeyFromObject(box)}, nil
	}
	at, err := datasetOf(ctx, b.Boxes, box.Spec.DatasetReference.DatasetComponentRef, box.Namespace)
	var refused notSharedError
	if errors.As(err, &refused) {
		return at, refusef("the box %s cannot be used: %v", box.Name, refused)
	}
	return at, err
}

func (b Buckets) prove(ctx context.Context, store settings.Store, box *platformv1.DataBox) (Bucket, error) {
	if box.DeletionTimestamp != nil {
		return Bucket{}, refusef("the box %s is being deleted", box.Name)
	}
	ready := meta.FindStatusCondition(box.Status.Conditions, platformv1.ConditionReady)
	switch {
	case ready == nil:
		return Bucket{}, &Refusal{Reason: fmt.Sprintf("the box %s is not ready yet", box.Name), Wait: true}
	case ready.Reason == platformv1.ReasonNotShared || ready.Reason == platformv1.ReasonBucketNotOurs:
		return Bucket{}, refusef("the box %s cannot be used: %s: %s", box.Name, ready.Reason, ready.Message)
	case ready.Status != "True":
		return Bucket{}, &Refusal{Reason: fmt.Sprintf("the box %s is not ready: %s: %s", box.Name, ready.Reason,
			ready.Message), Wait: true}
	}
	source, err := b.locate(ctx, box)
	if err != nil {
		return Bucket{}, err
	}
	out := Bucket{Name: store.Config.S3.Buckets.Box(source.box.Namespace, source.box.Name),
		Dataset: box.Spec.DatasetReference != nil, Prefix: source.prefix}
	if !out.Dataset {
		out.Capacity = box.Capacity()
	}
	return out, b.check(ctx, store.Client, out.Name, source.box.Namespace, source.box.Name)
}

// check reads the tags of a bucket against the UID that the namespace has now.
func (b Buckets) check(ctx context.Context, store *minio.Client, bucket, namespace, box string) error {
	ns := &corev1.Namespace{}
	if err := b.Namespaces.Get(ctx, client.ObjectKey{Name: namespace}, ns); err != nil {
		return wrapAPI("reading the namespace "+namespace, err)
	}
	err := s3.CheckBucket(ctx, store, bucket, databox.Owner{Namespace: namespace, NamespaceUID: string(ns.UID),
		Box: box})
	switch {
	case errors.Is(err, s3.ErrBucketNotOurs):
		return refusef("the bucket of %s cannot be used: %v", box, err)
	case s3.IsMissing(err): // the box's next pass makes it
		return &Refusal{Reason: err.Error(), Wait: true}
	}
	return err
}
