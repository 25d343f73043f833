// Package cluster tells the router which modules a Kubernetes cluster has: it watches the names,
// labels and annotations of Knative Services, and keeps nothing else of them.
package cluster

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/router"
	"github.com/unip-knative/unip/functions/router/service"
)

var services = schema.GroupVersionResource{Group: "serving.knative.dev", Version: "v1", Resource: "services"}

// Watch keeps the modules as the cluster has them, until the context ends. synced reports that all
// are known. While the API server does not answer they stay as they were.
func Watch(ctx context.Context, cfg *rest.Config, modules *service.Modules) (synced func() bool, err error) {
	client, err := metadata.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	const ours = label.ManagedBy + "=" + label.Unip
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = ours
			return client.Resource(services).List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = ours
			return client.Resource(services).Watch(ctx, o)
		},
	}, &metav1.PartialObjectMetadata{}, 0, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	if err := informer.SetTransform(needed); err != nil {
		return nil, err
	}
	changed := func(o any) {
		if gone, is := o.(cache.DeletedFinalStateUnknown); is {
			o = gone.Obj
		}
		m, is := o.(metav1.Object)
		if !is {
			return
		}
		left, err := informer.GetIndexer().ByIndex(cache.NamespaceIndex, m.GetNamespace())
		if err == nil { // the index is there
			modules.Set(m.GetNamespace(), servicesOf(left))
		}
	}
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }, DeleteFunc: changed,
	})
	if err != nil {
		return nil, err
	}
	go informer.RunWithContext(ctx)
	return handler.HasSynced, nil
}

// needed is what is kept of an object.
func needed(o any) (any, error) {
	m, is := o.(*metav1.PartialObjectMetadata)
	if !is {
		return o, nil
	}
	kept := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, ResourceVersion: m.ResourceVersion, UID: m.UID,
		Labels: only(m.Labels, label.Component, router.VisibilityLabel), Annotations: only(m.Annotations,
			router.Paths, router.OpenPaths),
	}}
	return kept, nil
}

func only(all map[string]string, keys ...string) map[string]string {
	var kept map[string]string
	for _, k := range keys {
		if v, ok := all[k]; ok {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[k] = strings.Clone(v)
		}
	}
	return kept
}

func servicesOf(all []any) (made []service.Service) {
	for _, o := range all {
		m, is := o.(metav1.Object)
		if !is {
			continue
		}
		s := service.Service{Name: m.GetName()}
		switch kind := m.GetLabels()[label.Component]; {
		case kind != names.Gateway:
			s.Paths = strings.Fields(m.GetAnnotations()[router.Paths])
			s.OpenPaths = strings.Fields(m.GetAnnotations()[router.OpenPaths])
		case m.GetLabels()[router.VisibilityLabel] == router.ClusterLocal:
			continue
		default:
			s.Gateway = true
		}
		made = append(made, s)
	}
	return made
}
