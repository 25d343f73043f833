package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox/put"
)

const (
	// answerTimeout is how long a request waits for its answer, endTimeout for being taken away.
	answerTimeout, endTimeout = 30 * time.Second, 5 * time.Second
	lookEvery                 = 100 * time.Millisecond
)

// errSilent: the controller has not answered.
var errSilent = errors.New("unip's controller does not answer")

// Put asks the controller for a link, by a BoxPut that goes with the call.
func (s *Store) Put(ctx context.Context, box, developer string, asked put.Asked) (link string, expires time.Time,
	err error) {
	x := &runtimev1.BoxPut{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: asked.ID()},
		Spec: runtimev1.BoxPutSpec{Box: box, Request: asked.Value, Developer: developer}}
	made := s.objects.Create(ctx, x)
	if made != nil && ctx.Err() == nil {
		return "", expires, fmt.Errorf("asking for a link: %w", made)
	}
	defer func() { // the controller takes away what is left
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		err = errors.Join(err, client.IgnoreNotFound(s.objects.Delete(ctx, x.DeepCopy())))
	}()
	if made != nil { // who asked has gone, and the request may be there all the same
		return "", expires, fmt.Errorf("asking for a link: %w", made)
	}
	waits, cancel := context.WithTimeoutCause(ctx, answerTimeout, errSilent)
	defer cancel()
	for tick := time.NewTicker(lookEvery); ; {
		if err := s.objects.Get(waits, client.ObjectKeyFromObject(x), x); err != nil {
			if waits.Err() != nil {
				err = context.Cause(waits)
			}
			return "", expires, fmt.Errorf("waiting for a link: %w", err)
		}
		switch {
		case x.Status.Reason != "":
			return "", expires, &put.RefusedError{Reason: x.Status.Reason, Message: x.Status.Message}
		case x.Status.Expires != nil:
			link, err := asked.Open(x.Status.Link)
			return link, x.Status.Expires.Time, err
		}
		select {
		case <-waits.Done():
			return "", expires, fmt.Errorf("waiting for a link: %w", context.Cause(waits))
		case <-tick.C:
		}
	}
}
