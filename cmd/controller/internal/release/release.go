// Package release publishes what modules run of unip itself: the images that came with this
// controller, and the worker that belongs to them.
package release

import (
	"context"
	"fmt"
	"time"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
)

const (
	fieldOwner = client.FieldOwner("unip-release")
	// again is when it is written once more: somebody may have edited or removed it.
	again = 5 * time.Minute
	// retry is when a write that failed is tried again.
	retry = 5 * time.Second
)

// Publisher keeps the ConfigMap of the release as long as its replica leads. After an upgrade the
// new leader writes its own.
type Publisher struct {
	Client  client.Client
	Release installation.Release
}

// SetUp adds it to a leader's work.
func (p Publisher) SetUp(mgr ctrl.Manager) error { return mgr.Add(p) }

// Start writes until ctx ends. A release that is not whole is not written: a controller that ko has
// not built knows no images, and what an operator has written stays.
func (p Publisher) Start(ctx context.Context) error {
	log := log.FromContext(ctx)
	if err := p.Release.Check(); err != nil {
		log.Info("no ConfigMap "+names.Release+" is written: `unip apply` must be told the images",
			"reason", err.Error())
		return nil
	}
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		if wait = again; ctx.Err() == nil {
			if err := p.publish(ctx); err != nil {
				wait = retry
				log.Error(err, "the release is not published")
			}
		}
	}
}

func (p Publisher) publish(ctx context.Context) error {
	m := corev1ac.ConfigMap(names.Release, names.SystemNamespace).
		WithLabels(map[string]string{label.PartOf: label.Unip}).WithData(p.Release.Data())
	if err := p.Client.Apply(ctx, m, client.ForceOwnership, fieldOwner); err != nil {
		return fmt.Errorf("writing ConfigMap %s/%s: %w", names.SystemNamespace, names.Release, err)
	}
	return nil
}
