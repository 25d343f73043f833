package boxes

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/cmd/controller/internal/uploadlinks"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox/put"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/users"
)

// readyAgain is when a request is looked at again whose box is being made ready.
const readyAgain = 2 * time.Second

// Developers answers gateways that ask, by a BoxPut, for a link for a developer of a box. Who calls the
// gateway has proved; that this one may write there is looked up here, in the DataBox as it is now.
type Developers struct {
	Client    client.Client
	Live      client.Reader
	Events    events.EventRecorder
	Settings  *settings.Source
	Transport http.RoundTripper
	// UploadLinks knows whether upload links are safe; nil asks nobody.
	UploadLinks *uploadlinks.Guard
}

// SetUp adds the reconciler to the manager.
func (r Developers) SetUp(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&runtimev1.BoxPut{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

// Reconcile answers one request, and takes it away when its time is over.
func (r Developers) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	x := &runtimev1.BoxPut{}
	if err := r.Live.Get(ctx, req.NamespacedName, x); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	left := time.Until(x.CreationTimestamp.Add(put.Life))
	switch {
	case x.DeletionTimestamp != nil:
		return reconcile.Result{}, nil
	case left <= 0:
		return reconcile.Result{}, client.IgnoreNotFound(r.Client.Delete(ctx, x))
	case x.Status.Reason != "" || x.Status.Expires != nil:
		return reconcile.Result{RequeueAfter: left}, nil
	}
	before := x.DeepCopy()
	switch err := r.answer(ctx, x); {
	case errors.Is(err, errLater):
		return reconcile.Result{RequeueAfter: readyAgain}, nil
	case err != nil:
		x.Status.Reason, x.Status.Message = told(err)
	}
	err := r.Client.Status().Patch(ctx, x, client.MergeFrom(before), fieldOwner)
	return reconcile.Result{RequeueAfter: left}, wrapAPI("answering a developer", client.IgnoreNotFound(err))
}

func (r Developers) answer(ctx context.Context, x *runtimev1.BoxPut) error {
	request, err := put.Parse(x.Name, x.Spec.Request)
	if err != nil {
		return refusePut(put.Invalid, "%v", err)
	}
	box := &platformv1.DataBox{}
	err = r.Live.Get(ctx, client.ObjectKey{Namespace: x.Namespace, Name: x.Spec.Box}, box)
	switch {
	case apierrors.IsNotFound(err):
		return refusePut(put.NotUsable, "there is no DataBox %s", x.Spec.Box)
	case err != nil:
		return wrapAPI("reading the box", err)
	case !slices.Contains(users.Developers(box.Annotations[platformv1.DevelopersAnnotation]), x.Spec.Developer):
		return refusePut(put.NotNamed, "the annotation developers of the box %s does not name %s", box.Name, x.Spec.Developer)
	case box.Spec.S3DefaultStorage == nil:
		return errDataset
	}
	store, err := r.Settings.Open(r.Transport)
	if err != nil {
		return err
	}
	_, err = Buckets{Boxes: r.Live, Namespaces: r.Live}.Of(ctx, store, box.Namespace, box.Name)
	if no, ok := errors.AsType[*Refusal](err); ok && no.Wait {
		return errLater
	} else if ok {
		return refusePut(put.NotUsable, "%s", no.Reason)
	}
	if err != nil {
		return err
	}
	link, expires, err := sealedLink(ctx, r.Live, r.UploadLinks, store, box, request)
	if err != nil {
		return err
	}
	at := metav1.NewTime(expires)
	x.Status.Link, x.Status.Expires = link, &at
	r.Events.Eventf(box, nil, corev1.EventTypeNormal, "DeveloperPut", "Put",
		"a link was given to %s that writes %s, %d bytes", printable.Line(x.Spec.Developer), printable.Line(request.Key),
		request.Size)
	return nil
}
