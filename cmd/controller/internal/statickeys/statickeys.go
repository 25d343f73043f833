// Package statickeys notices that the operator has changed S3 keys of boxes or of runs, which are there
// where the S3 server gives no sessions (s3.sts.none).
//
// The controller has no right to watch Secrets. So the metadata of the few with such keys are read
// every few seconds, each by its name.
package statickeys

import (
	"context"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/names"
)

const (
	// pause is between two rounds, gap between two reads of one: they take a fifth of the requests that
	// the controller may make for objects of one kind.
	pause = 3 * time.Second
	gap   = 50 * time.Millisecond
)

// Watch tells whose keys are others than a moment ago, and at its beginning of all that are there.
type Watch struct {
	Cache    client.Reader // of boxes and Pipelines
	Live     client.Reader
	Settings *settings.Source
	// Box is told of a box, Runs of a namespace whose runs have other keys.
	Box  func(types.NamespacedName)
	Runs func(ctx context.Context, namespace string)
}

// holder is who has keys in a Secret.
type holder struct {
	secret types.NamespacedName
	box    string // "" are a namespace's runs
}

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	seen := map[holder]string{}
	for sleep(ctx, pause) {
		if !w.Settings.Current().Config.S3.STS.None {
			continue
		}
		holders, err := w.holders(ctx)
		if err != nil {
			slog.Warn("whose S3 keys the operator may have changed is not known now", "error", err)
			continue
		}
		now := map[holder]string{}
		for _, h := range holders {
			if !sleep(ctx, gap) {
				return nil
			}
			version, err := w.version(ctx, h.secret)
			if err != nil { // the module's Role is missing, which its objects say, or the API server is away
				slog.Debug("S3 keys cannot be looked at", "secret", h.secret, "error", err)
				version = seen[h]
			}
			if now[h] = version; version != seen[h] {
				w.tell(ctx, h)
			}
		}
		seen = now
	}
	return nil
}

func (w *Watch) tell(ctx context.Context, h holder) {
	if h.box == "" {
		w.Runs(ctx, h.secret.Namespace)
		return
	}
	w.Box(types.NamespacedName{Namespace: h.secret.Namespace, Name: h.box})
}

// holders are all boxes, and the namespaces with Pipelines.
func (w *Watch) holders(ctx context.Context) ([]holder, error) {
	var boxes platformv1.DataBoxList
	if err := w.Cache.List(ctx, &boxes); err != nil {
		return nil, err
	}
	var pipelines runtimev1.PipelineList
	if err := w.Cache.List(ctx, &pipelines); err != nil {
		return nil, err
	}
	var all []holder
	for i := range boxes.Items {
		b := &boxes.Items[i]
		all = append(all, holder{types.NamespacedName{Namespace: b.Namespace, Name: names.BoxKeys(b.Name)}, b.Name})
	}
	known := map[string]bool{}
	for i := range pipelines.Items {
		if ns := pipelines.Items[i].Namespace; !known[ns] {
			known[ns] = true
			all = append(all, holder{secret: types.NamespacedName{Namespace: ns, Name: names.RunKeys}})
		}
	}
	return all, nil
}

// version tells a Secret from what it was before; "" is none.
func (w *Watch) version(ctx context.Context, secret types.NamespacedName) (string, error) {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err := w.Live.Get(ctx, secret, m)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	return string(m.UID) + m.ResourceVersion, err
}

// sleep reports that ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
