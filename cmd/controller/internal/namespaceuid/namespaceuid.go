// Package namespaceuid says for which namespace the bucket of a deleted object was claimed.
//
// Mostly that is the namespace that is there. But a namespace can be gone before its objects: its
// controller asks the API server for all that is in it, and one that has just come back does not name
// the custom resources yet. Such an object stays, with its finalizer, until its namespace is made
// again. Its bucket goes nevertheless, by the UID in its status.
package namespaceuid

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Owner is whose a bucket is.
type Owner struct {
	// UID of the namespace; "" when nothing says it any more, and then the bucket must stay.
	UID types.UID
	// Silent: the namespace takes no events, for it goes away or is gone.
	Silent bool
	// Gone: the namespace is not there, and the API server lets nobody change the object.
	Gone bool
}

// again is how often is looked for a namespace that is not there.
const again = time.Minute

// Again is when to try again to let the object go; 0 where that needs no other try.
func (o Owner) Again() time.Duration {
	if o.Gone {
		return again
	}
	return 0
}

// Of asks the API server for the namespace; recorded is the UID in the object's status, which counts
// only where there is no namespace: who may write a status must not name a bucket of others by it.
func Of(ctx context.Context, live client.Reader, namespace string, recorded types.UID) (Owner, error) {
	ns := &corev1.Namespace{}
	err := live.Get(ctx, client.ObjectKey{Name: namespace}, ns)
	if apierrors.IsNotFound(err) {
		return Owner{UID: recorded, Silent: true, Gone: true}, nil
	}
	if err != nil {
		return Owner{}, fmt.Errorf("reading the namespace: %w", err)
	}
	return Owner{UID: ns.UID, Silent: ns.DeletionTimestamp != nil}, nil
}
