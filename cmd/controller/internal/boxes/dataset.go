package boxes

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
)

// dataset is what a datasetReference leads to: a storage box, and the folder of it that is meant.
type dataset struct {
	box    types.NamespacedName
	prefix string
}

// notSharedError: the dataset is not there, or is not shared with the namespace. Which of the two is
// told to nobody with whom it is not shared.
type notSharedError struct{ ref platformv1.NamespacedName }

func (e notSharedError) Error() string {
	return fmt.Sprintf("%s/%s is not shared with this namespace", e.ref.Namespace, e.ref.Name)
}

// datasetOf finds what a reference of a namespace leads to: the DatasetComponent of that name, else
// the DataBox. One that is there and not shared ends the search: what its owner has taken back is not
// given by another object of the same name. The error is a notSharedError, a *Refusal for what those
// may know with whom it is shared, or the API server's.
func datasetOf(ctx context.Context, r client.Reader, ref platformv1.NamespacedName, namespace string) (dataset, error) {
	at := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
	var component platformv1.DatasetComponent
	switch err := r.Get(ctx, at, &component); {
	case apierrors.IsNotFound(err):
		return sharedBox(ctx, r, ref, namespace)
	case err != nil:
		return dataset{}, wrapAPI("reading the dataset", err)
	case component.DeletionTimestamp != nil ||
		!SharedWith(component.Annotations[platformv1.SharedWithAnnotation], namespace):
		return dataset{}, notSharedError{ref}
	}
	prefix, err := databox.DatasetPrefix(component.Spec.Path)
	if err != nil {
		return dataset{}, refusef("the dataset %s cannot be used: its path %q: %v", at, component.Spec.Path, err)
	}
	at.Name = component.Spec.Box
	box, err := storageBox(ctx, r, at)
	if err == nil && box == nil {
		err = refusef("the dataset %s/%s cannot be used: its module has no storage box %s", ref.Namespace, ref.Name,
			at.Name)
	}
	return dataset{at, prefix}, err
}

// sharedBox is a whole box that its owner shares.
func sharedBox(ctx context.Context, r client.Reader, ref platformv1.NamespacedName, namespace string) (dataset, error) {
	at := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
	box, err := storageBox(ctx, r, at)
	if err == nil && (box == nil || !SharedWith(box.Annotations[platformv1.SharedWithAnnotation], namespace)) {
		err = notSharedError{ref}
	}
	return dataset{box: at}, err
}

// storageBox reads a box with a bucket of its own; nil when there is none.
func storageBox(ctx context.Context, r client.Reader, at types.NamespacedName) (*platformv1.DataBox, error) {
	box := &platformv1.DataBox{}
	err := r.Get(ctx, at, box)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, wrapAPI("reading the dataset's box", err)
	}
	if box.Spec.S3DefaultStorage == nil || box.DeletionTimestamp != nil {
		return nil, nil
	}
	return box, nil
}
