// Package cluster shows a module's pipelines and runs as its Kubernetes cluster has them: objects
// of the API server, and logs of pods.
//
// Nothing is cached: the gateway lives for a call or two.
package cluster

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/functions/gateway/service"
)

// Store is the pipelines and runs of one namespace. It is a service.Store.
type Store struct {
	namespace string
	objects   client.WithWatch
	pods      kubernetes.Interface
}

var _ service.Store = (*Store)(nil)

// New talks to the cluster with the account of cfg.
func New(cfg *rest.Config, namespace string) (*Store, error) {
	scheme := runtime.NewScheme()
	if err := runtimev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	metav1.AddToGroupVersion(scheme, runtimev1.GroupVersion)
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = 50, 100
	objects, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	pods, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &Store{namespace: namespace, objects: objects, pods: pods}, nil
}

// Pipelines are the namespace's.
func (s *Store) Pipelines(ctx context.Context) ([]runtimev1.Pipeline, error) {
	var all runtimev1.PipelineList
	err := s.objects.List(ctx, &all, client.InNamespace(s.namespace))
	return all.Items, err
}

// Create makes a run.
func (s *Store) Create(ctx context.Context, run *runtimev1.PipelineRun) error {
	run.Namespace = s.namespace
	err := s.objects.Create(ctx, run)
	switch {
	case apierrors.IsAlreadyExists(err):
		return fmt.Errorf("%w: %w", service.ErrRunExists, err)
	case apierrors.IsInvalid(err):
		return &service.InvalidRunError{Reason: err.Error()}
	}
	return err
}

// Run reads a run.
func (s *Store) Run(ctx context.Context, name string) (*runtimev1.PipelineRun, error) {
	run := &runtimev1.PipelineRun{}
	err := s.objects.Get(ctx, types.NamespacedName{Namespace: s.namespace, Name: name}, run)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: %w", service.ErrNoRun, err)
	}
	return run, err
}

// Runs lists those of a pipeline by their label, or all.
func (s *Store) Runs(ctx context.Context, pipeline string) ([]runtimev1.PipelineRun, error) {
	options := []client.ListOption{client.InNamespace(s.namespace)}
	if pipeline != "" {
		options = append(options, client.MatchingLabels{runtimev1.PipelineLabel: pipeline})
	}
	var all runtimev1.PipelineRunList
	err := s.objects.List(ctx, &all, options...)
	return all.Items, err
}

// Cancel writes spec.cancel and nothing else.
func (s *Store) Cancel(ctx context.Context, run *runtimev1.PipelineRun) error {
	before := run.DeepCopy()
	run.Spec.Cancel = true
	return s.objects.Patch(ctx, run, client.MergeFrom(before))
}

// Change watches the run from the version that the caller has.
func (s *Store) Change(ctx context.Context, run *runtimev1.PipelineRun) (*runtimev1.PipelineRun, error) {
	changes, err := s.objects.Watch(ctx, &runtimev1.PipelineRunList{}, client.InNamespace(s.namespace),
		client.MatchingFields{"metadata.name": run.Name},
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: run.ResourceVersion}})
	if err != nil {
		return nil, err
	}
	defer changes.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case e, ok := <-changes.ResultChan():
			changed, is := e.Object.(*runtimev1.PipelineRun)
			if !ok || !is || e.Type == watch.Deleted {
				return nil, nil
			}
			if changed.ResourceVersion != run.ResourceVersion {
				return changed, nil
			}
		}
	}
}
