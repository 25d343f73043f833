// Package modulekey fills in the key of each module: the Secret that translate writes without data,
// and that the module's gateway and servers mount to sign and verify who calls.
//
// A key that is there and long enough is never changed, whatever happens: changing it would break
// the calls under way. To replace one, delete data.key: within minutes there is another. Pods that run
// keep the old one until kubelet brings it; pods that start meanwhile wait for it.
package modulekey

import (
	"context"
	cryptorand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/eventing/names"
)

const (
	size       = 32 // bytes: HS256's key
	fieldOwner = client.FieldOwner(names.Controller)
)

// checkEvery is how often the keys of a module are looked at: nothing tells of one that was taken
// away. While a module is being applied, its Secret may come after its RoleBinding: for a moment it
// is looked at more often.
const (
	checkEvery = 3 * time.Minute
	freshEvery = 5 * time.Second
	freshFor   = time.Minute
)

// Reconciler fills in the keys of each module whose RoleBinding lets the controller do so. Secrets
// are never watched, and read live, so that no key stays in the controller's memory.
type Reconciler struct {
	Client client.Client // its reads of RoleBindings come from the cache
	Live   client.Reader
}

// SetUp adds the reconciler to the manager. The cache must be limited to modulerole.InCache.
func (r *Reconciler) SetUp(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).Named("module-key").
		For(modulerole.Binding(), builder.OnlyMetadata).
		Complete(r)
}

// Reconcile looks at the keys in the namespace of a RoleBinding.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	binding := modulerole.Binding()
	if err := r.Client.Get(ctx, req.NamespacedName, binding); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	again, fresh := checkEvery, time.Since(binding.CreationTimestamp.Time) < freshFor
	if fresh {
		again = freshEvery
	}
	again -= rand.N(again / 10) // those of an installation are not all looked at in one moment
	var keys corev1.SecretList
	if err := r.Live.List(ctx, &keys, client.InNamespace(req.Namespace),
		client.MatchingLabels{names.ModuleKeyLabel: "true"}); err != nil {
		if modulerole.Missing(err) {
			if fresh { // the API server takes a moment to go by a RoleBinding
				return reconcile.Result{RequeueAfter: time.Second}, nil
			}
			log.FromContext(ctx).Info("module keys cannot be looked at", "reason", modulerole.Message(req.Namespace))
			return reconcile.Result{RequeueAfter: again}, nil
		}
		return reconcile.Result{}, fmt.Errorf("reading the module keys: %w", err)
	}
	for i := range keys.Items {
		if err := r.fill(ctx, &keys.Items[i]); err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

// fill makes the key of one Secret, if it lacks one. The write carries the resource version it has
// read: of two writers one wins and the other looks again.
func (r *Reconciler) fill(ctx context.Context, s *corev1.Secret) error {
	if !lacksKey(s) {
		return nil
	}
	if s.Immutable != nil && *s.Immutable {
		log.FromContext(ctx).Info("module key cannot be filled in: the Secret is immutable", "secret", s.Name)
		return nil
	}
	key := make([]byte, size)
	if _, err := cryptorand.Read(key); err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	before := s.DeepCopy()
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	s.Data[names.ModuleKeyData] = key
	err := r.Client.Patch(ctx, s, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), fieldOwner)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("filling in the module key: %w", err)
	}
	if err == nil {
		log.FromContext(ctx).Info("module key made", "secret", s.Name)
	}
	return nil
}

// lacksKey reports a module's key Secret that is alive and holds no usable key.
func lacksKey(s *corev1.Secret) bool {
	return s.DeletionTimestamp == nil && s.Type == names.ModuleKeyType && s.Labels[names.ModuleKeyLabel] == "true" &&
		len(s.Data[names.ModuleKeyData]) < size
}
