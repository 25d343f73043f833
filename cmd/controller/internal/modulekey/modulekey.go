// Package modulekey fills in the key of each module: the Secret that translate writes without data, and that the module's gateway and
// servers mount to sign and verify who calls.
//
// A key that is there and long enough is never changed, whatever happens: changing it would break the calls under way. To replace one, delete
// data.key.
package modulekey

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// What marks a module's key.
const (
	Label   = "knative.unified-platform.cs.hse.ru/module-key"
	Type    = corev1.SecretType("unified-platform.cs.hse.ru/module-key")
	DataKey = "key"

	size       = 32 // bytes: HS256's key
	fieldOwner = client.FieldOwner("unip-controller")
)

// Reconciler fills in keys. Secrets are watched by their metadata only and read live, so that no key stays in the controller's memory.
type Reconciler struct {
	Client client.Client
	Live   client.Reader
}

// SetUp adds the reconciler to the manager, with a cache of its own that sees nothing but Secrets with Label.
func (r *Reconciler) SetUp(mgr ctrl.Manager) error {
	secret := secretMeta()
	c, err := cache.New(mgr.GetConfig(), cache.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient(),
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject:         map[client.Object]cache.ByObject{secret: {Label: labels.SelectorFromSet(labels.Set{Label: "true"})}},
	})
	if err != nil {
		return fmt.Errorf("cache of module keys: %w", err)
	}
	if err := mgr.Add(c); err != nil {
		return fmt.Errorf("cache of module keys: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).Named("module-key").
		WatchesRawSource(source.Kind(c, secret, &handler.TypedEnqueueRequestForObject[*metav1.PartialObjectMetadata]{})).
		Complete(r)
}

// Reconcile looks at one Secret. The write carries the resource version it has read: of two writers one wins and the other looks again.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	s := &corev1.Secret{}
	if err := r.Live.Get(ctx, req.NamespacedName, s); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !lacksKey(s) {
		return reconcile.Result{}, nil
	}
	if s.Immutable != nil && *s.Immutable {
		log.FromContext(ctx).Info("module key cannot be filled in: the Secret is immutable")
		return reconcile.Result{}, nil
	}
	key := make([]byte, size)
	if _, err := rand.Read(key); err != nil {
		return reconcile.Result{}, fmt.Errorf("making a key: %w", err)
	}
	before := s.DeepCopy()
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	s.Data[DataKey] = key
	err := r.Client.Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), fieldOwner)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("filling in the module key: %w", err)
	}
	log.FromContext(ctx).Info("module key made")
	return reconcile.Result{}, nil
}

// lacksKey reports a module's key Secret that is alive and holds no usable key.
func lacksKey(s *corev1.Secret) bool {
	return s.DeletionTimestamp == nil && s.Type == Type && s.Labels[Label] == "true" && len(s.Data[DataKey]) < size
}

func secretMeta() *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	return m
}
