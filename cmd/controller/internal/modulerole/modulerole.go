// Package modulerole knows about the Role that lets the controller work in a module's namespace:
// its name stands in eventing/names, translate writes it. Without it the API server refuses what
// the controller does there, and people are told what to do.
package modulerole

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unip-knative/unip/eventing/names"
)

// unauthorized is in every refusal of RBAC. A quota, an admission policy or a namespace that goes
// away is Forbidden, too.
var unauthorized = regexp.MustCompile(`User ".*" cannot [a-z]+ resource `)

// Missing reports an error of the API server that the module's Role would have prevented.
func Missing(err error) bool {
	var status apierrors.APIStatus
	return apierrors.IsForbidden(err) && errors.As(err, &status) &&
		!apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) &&
		unauthorized.MatchString(status.Status().Message)
}

// Message says what helps.
func Message(namespace string) string {
	return fmt.Sprintf(
		"unip's controller may not work in namespace %s: it has no RoleBinding %s (or its Role has changed). "+
			"Apply the module again: unip apply -f <manifests>, or unip translate -f <manifests> | ko apply -f -",
		namespace, names.Controller)
}

// Again is how often is looked whether a module's Role has come; its RoleBinding is watched
// besides.
const Again = time.Minute

// Later makes a later look of an error for want of the module's Role; any other error stays one.
func Later(ctx context.Context, namespace string, err error) (reconcile.Result, error) {
	if !Missing(err) {
		return reconcile.Result{}, err
	}
	ctrl.LoggerFrom(ctx).Info(Message(namespace), "error", err.Error())
	return reconcile.Result{RequeueAfter: Again}, nil
}

// Binding is what Watches and caches are given: the metadata of a RoleBinding.
func Binding() *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(rbacv1.SchemeGroupVersion.WithKind("RoleBinding"))
	return m
}

// InCache limits a cache to the modules' RoleBindings.
func InCache() cache.ByObject {
	return cache.ByObject{Label: labels.SelectorFromSet(labels.Set{names.ControllerRoleLabel: "true"})}
}

// wakeAfter is how long after a RoleBinding has come it is tried: the API server itself takes a
// moment to go by it.
const wakeAfter = time.Second

// Wake makes a request of each object of a list's kind in the namespace of a RoleBinding that has
// come, changed or gone; if it is one that is wanted.
func Wake(c client.Reader, list func() client.ObjectList, wanted ...func(client.Object) bool) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	wake := func(ctx context.Context, binding client.Object, q queue) {
		all := list()
		if err := c.List(ctx, all, client.InNamespace(binding.GetNamespace())); err != nil {
			return // the next look comes by itself
		}
		// It fails for what is no list, and with the function's own errors.
		_ = meta.EachListItem(all, func(o runtime.Object) error {
			x, ok := o.(client.Object)
			if ok && !slices.ContainsFunc(wanted, func(f func(client.Object) bool) bool { return !f(x) }) {
				q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(x)}, wakeAfter)
			}
			return nil
		})
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList { // when the controller starts all objects are looked at anyway
				wake(ctx, e.Object, q)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) { wake(ctx, e.ObjectNew, q) },
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { wake(ctx, e.Object, q) },
	}
}
