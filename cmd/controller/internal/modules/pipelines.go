package modules

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/cmd/controller/internal/namespaceuid"
	"github.com/unip-knative/unip/cmd/controller/internal/runbucket"
	"github.com/unip-knative/unip/cmd/controller/internal/sessions"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/cmd/controller/internal/starts"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	s3client "github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/translate/installation"
)

// BucketFinalizer stands on Pipelines while the installation's reclaimPolicy is Delete: the last
// Pipeline of a module takes the run bucket with it.
const BucketFinalizer = "unified-platform.cs.hse.ru/run-bucket"

// Pipelines prepares a module for runs: its run bucket, and the session with which its gateway
// reads logs. It also completes starts that were broken off.
type Pipelines struct {
	Client    client.Client // its reads come from the cache
	Live      client.Reader
	Settings  *settings.Source
	Transport http.RoundTripper
	Starts    *starts.Maker

	wake chan event.GenericEvent
}

const (
	fieldOwner = client.FieldOwner(names.Controller)
	// checkEvery is how often a healthy Pipeline is looked at again.
	checkEvery = 15 * time.Minute
	// passTimeout bounds one pass over one Pipeline.
	passTimeout = time.Minute
	// deleteBudget is how much of a pass goes into deleting objects.
	deleteBudget = 20 * time.Second
	// maxMessage bounds what a condition takes over of an error's text, in bytes.
	maxMessage = 400
)

// Look makes the controller look at the Pipelines of a namespace soon.
func (l *Pipelines) Look(ctx context.Context, namespace string) {
	o := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}
	select {
	case l.wake <- event.GenericEvent{Object: o}:
	case <-ctx.Done():
	}
}

// SetUp adds it to the manager.
func (l *Pipelines) SetUp(mgr ctrl.Manager) error {
	l.wake = make(chan event.GenericEvent)
	ofNamespace := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		var all runtimev1.PipelineList
		if err := l.Client.List(ctx, &all, client.InNamespace(o.GetNamespace())); err != nil {
			return nil // the next look comes by itself
		}
		var out []reconcile.Request
		for i := range all.Items {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])})
		}
		return out
	})
	return ctrl.NewControllerManagedBy(mgr).Named("pipelines").
		For(&runtimev1.Pipeline{}).
		WatchesMetadata(modulerole.Binding(), modulerole.Wake(l.Client,
			func() client.ObjectList { return &runtimev1.PipelineList{} })).
		WatchesRawSource(source.Channel(l.wake, ofNamespace)).
		// One at a time: those of one module share the bucket.
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Complete(l)
}

// Reconcile prepares one Pipeline.
func (l *Pipelines) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	p := &runtimev1.Pipeline{}
	if err := l.Live.Get(ctx, req.NamespacedName, p); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	s, err := l.Settings.Open(l.Transport)
	if p.DeletionTimestamp != nil {
		if err != nil {
			return reconcile.Result{}, err
		}
		return l.release(ctx, p, s)
	}
	if err == nil {
		err = l.prepare(ctx, p, s)
	}
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: 100 * time.Millisecond}, nil
	}
	if e := l.report(ctx, p, err); apierrors.IsConflict(e) {
		return reconcile.Result{RequeueAfter: 100 * time.Millisecond}, nil
	} else if e != nil {
		return reconcile.Result{}, e
	}
	if err != nil {
		return modulerole.Later(ctx, p.Namespace, err)
	}
	return reconcile.Result{RequeueAfter: min(checkEvery, s.SessionLife()/4)}, nil
}

func (l *Pipelines) prepare(ctx context.Context, p *runtimev1.Pipeline, s settings.Store) error {
	before := p.DeepCopy()
	if s.Config.S3.ReclaimPolicy == installation.Delete {
		controllerutil.AddFinalizer(p, BucketFinalizer)
	} else {
		controllerutil.RemoveFinalizer(p, BucketFinalizer)
	}
	if !equality.Semantic.DeepEqual(before.Finalizers, p.Finalizers) {
		if err := l.Client.Patch(ctx, p, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}),
			fieldOwner); err != nil {
			return fmt.Errorf("writing the finalizer: %w", err)
		}
	}
	ns := &corev1.Namespace{}
	if err := l.Live.Get(ctx, types.NamespacedName{Name: p.Namespace}, ns); err != nil {
		return fmt.Errorf("reading the namespace: %w", err)
	}
	if err := runbucket.Claim(ctx, s, p.Namespace, string(ns.UID)); err != nil {
		return err
	}
	p.Status.NamespaceUID = ns.UID
	if err := l.seeRules(ctx, p); err != nil {
		return err
	}
	if err := l.logSession(ctx, p, s); err != nil {
		return err
	}
	if len(p.Spec.OnUpload) > 0 || p.Spec.Schedule != "" {
		return l.Starts.Complete(ctx, p.Namespace)
	}
	return nil
}

// logSession keeps the Secret with which the gateway reads logs. It belongs to all Pipelines of the
// module alike.
func (l *Pipelines) logSession(ctx context.Context, p *runtimev1.Pipeline, s settings.Store) error {
	bucket := s.Config.S3.Buckets.Runs(p.Namespace)
	policy, err := databox.Policy(databox.Grant{Bucket: bucket, Access: databox.Read, Prefix: "runs/"})
	if err != nil {
		return err
	}
	k := sessions.Keeper{Client: l.Client, Live: l.Live, Store: s}
	_, err = k.Ensure(ctx, sessions.Secret{
		Name: names.RunLogs, Component: "gateway", Shared: true, Life: s.SessionLife(),
		Owner: sessions.Owner{Object: p, Kind: runtimev1.GroupVersion.WithKind("Pipeline")},
		Files: map[string]sessions.Session{databox.SessionKey: {Policy: policy, Told: databox.Session{
			Endpoint: s.Config.S3.Endpoint, Region: s.Config.S3.Region, Bucket: bucket,
		}, Pair: sessions.Pair{Secret: names.RunKeys}}},
	}, time.Now())
	return err
}

// release lets a deleted Pipeline go. The last one takes the run bucket with it, if the
// installation wants that.
func (l *Pipelines) release(ctx context.Context, p *runtimev1.Pipeline, s settings.Store) (reconcile.Result, error) {
	if !controllerutil.ContainsFinalizer(p, BucketFinalizer) {
		return reconcile.Result{}, nil
	}
	var all runtimev1.PipelineList
	if err := l.Live.List(ctx, &all, client.InNamespace(p.Namespace)); err != nil {
		return reconcile.Result{}, fmt.Errorf("reading the Pipelines: %w", err)
	}
	last := true
	for i := range all.Items {
		last = last && (all.Items[i].UID == p.UID || all.Items[i].DeletionTimestamp != nil)
	}
	var whose namespaceuid.Owner
	if last && s.Config.S3.ReclaimPolicy == installation.Delete {
		var err error
		if whose, err = namespaceuid.Of(ctx, l.Live, p.Namespace, p.Status.NamespaceUID); err != nil {
			return reconcile.Result{}, err
		}
		owner := databox.Owner{Namespace: p.Namespace, NamespaceUID: string(whose.UID), Box: databox.RunsBox}
		_, gone, err := s3client.RemoveBucket(ctx, s.Client, s.Config.S3.Buckets.Runs(p.Namespace), owner,
			s.Removal(deleteBudget))
		if err != nil && !errors.Is(err, s3client.ErrBucketNotOurs) {
			return reconcile.Result{}, err
		}
		if err == nil && !gone {
			return reconcile.Result{RequeueAfter: time.Second}, nil
		}
	}
	before := p.DeepCopy()
	controllerutil.RemoveFinalizer(p, BucketFinalizer)
	err := l.Client.Patch(ctx, p, client.MergeFrom(before), fieldOwner)
	return reconcile.Result{RequeueAfter: whose.Again()}, client.IgnoreNotFound(err)
}

func (l *Pipelines) report(ctx context.Context, p *runtimev1.Pipeline, err error) error {
	before := p.DeepCopy()
	c := metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Ready",
		ObservedGeneration: p.Generation}
	switch {
	case modulerole.Missing(err):
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, platformv1.ReasonApplyAgain,
			modulerole.Message(p.Namespace)
	case err != nil:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, platformv1.ReasonStorageError,
			printable.Summary(err.Error(), maxMessage)
	}
	meta.SetStatusCondition(&p.Status.Conditions, c)
	p.Status.ObservedGeneration = p.Generation
	p.Status.Address = &runtimev1.Address{URL: fmt.Sprintf("http://%s/namespaces/%s/pipelines/%s/",
		names.EventsHost(l.Settings.Current().Config.ClusterDomain), p.Namespace, p.Name)}
	if equality.Semantic.DeepEqual(before.Status, p.Status) {
		return nil
	}
	own := runtimev1.PipelineStatus{ObservedGeneration: p.Status.ObservedGeneration, Address: p.Status.Address,
		NamespaceUID: p.Status.NamespaceUID}
	return applyStatus(ctx, l.Client, pipelinesOwner, p, own, c.Type)
}
