// Package cluster brings the objects of a module to a cluster and away from it: server-side apply
// with a field manager of its own, a comparison by the API server's own dry run, removal of what
// the module no longer has, and the wait until everything is ready. It knows objects, not
// manifests.
package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/eventing/label"
)

const (
	// Manager is the field manager of what is applied.
	Manager = "unip"
	// callTimeout bounds one call of the API server.
	callTimeout = 30 * time.Second
	// pageSize bounds one answer to a list.
	pageSize = 500
)

// Object is an object as the API server sees it.
type Object = unstructured.Unstructured

// Cluster is a connection.
type Cluster struct {
	client.Client
	Host string

	version discovery.ServerVersionInterface
	config  *rest.Config
}

// Connect opens the cluster that kubectl would talk to; kubeconfig and kubeContext may be empty.
// What the API server has to warn of is written to warnings, each thing once.
func Connect(kubeconfig, kubeContext string, warnings io.Writer) (*Cluster, error) {
	config, err := Config(kubeconfig, kubeContext)
	if err != nil {
		return nil, err
	}
	config.WarningHandler = rest.NewWarningWriter(warnings, rest.WarningWriterOptions{Deduplicate: true})
	c, err := client.New(config, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", config.Host, err)
	}
	version, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", config.Host, err)
	}
	return &Cluster{c, config.Host, version, config}, nil
}

func loader(kubeconfig, kubeContext string) clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: kubeContext}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
}

// Namespace is that of the kubeconfig's context.
func Namespace(kubeconfig, kubeContext string) (string, error) {
	namespace, _, err := loader(kubeconfig, kubeContext).Namespace()
	return namespace, err
}

// Config is the connection's configuration.
func Config(kubeconfig, kubeContext string) (*rest.Config, error) {
	config, err := loader(kubeconfig, kubeContext).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster to talk to: %w", err)
	}
	config.Timeout, config.QPS, config.Burst = callTimeout, 50, 100
	return config, nil
}

// Name is how people call an object: kind.group/name, as kubectl prints it.
func Name(o *Object) string {
	k := o.GroupVersionKind()
	return schema.GroupKind{Group: k.Group, Kind: strings.ToLower(k.Kind)}.String() + "/" + o.GetName()
}

// Result is what was done to one object, or would be: "created", "configured", "unchanged",
// "deleted", "kept".
type Result struct {
	Object string `json:"object"`
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"`
	// URL is where the module answers; it stands at its gateway.
	URL string `json:"url,omitempty"`
}

// get reads the object that is there; nil when there is none.
func (c *Cluster) get(ctx context.Context, o *Object) (*Object, error) {
	live := &Object{}
	live.SetGroupVersionKind(o.GroupVersionKind())
	switch err := c.Get(ctx, client.ObjectKeyFromObject(o), live); {
	case apierrors.IsNotFound(err):
		return nil, nil
	case meta.IsNoMatchError(err):
		return nil, fmt.Errorf("%s: the cluster does not know %s; `unip doctor` says what is missing",
			Name(o), o.GroupVersionKind())
	case err != nil:
		return nil, fmt.Errorf("%s: %w", Name(o), err)
	}
	return live, nil
}

// Address is the URL that Knative has given to a Service; "" as long as it has not.
func (c *Cluster) Address(ctx context.Context, service *Object) (string, error) {
	live, err := c.get(ctx, service)
	if err != nil || live == nil {
		return "", err
	}
	address, _, err := unstructured.NestedString(live.Object, "status", "url")
	return address, err
}

// apply writes one object, or only asks what would come of it.
func (c *Cluster) apply(ctx context.Context, o *Object, force, dryRun bool) (*Object, error) {
	out := o.DeepCopy()
	options := []client.ApplyOption{client.FieldOwner(Manager)}
	if force {
		options = append(options, client.ForceOwnership)
	}
	if dryRun {
		options = append(options, client.DryRunAll)
	}
	err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(out), options...)
	if apierrors.IsConflict(err) {
		err = fmt.Errorf("%w; --force-conflicts takes these fields over", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Name(o), err)
	}
	return out, nil
}

// ApplyAll writes the objects in their order and tells of each.
func (c *Cluster) ApplyAll(ctx context.Context, objects []*Object, force bool, tell func(Result)) error {
	if err := c.refuseOtherBroker(ctx, objects); err != nil {
		return err
	}
	for _, o := range objects {
		before, err := c.get(ctx, o)
		if err != nil {
			return err
		}
		after, err := c.apply(ctx, o, force, false)
		if err != nil {
			return err
		}
		r := Result{Object: Name(o), Result: "configured"}
		switch {
		case before == nil:
			r.Result = "created"
		case before.GetResourceVersion() == after.GetResourceVersion():
			r.Result = "unchanged"
		}
		tell(r)
	}
	return nil
}

// generated are the kinds that a translation makes, in the order of their removal: what calls
// others first. DataBoxes are not among them: a box holds data.
var generated = []schema.GroupVersionKind{
	{Group: "serving.knative.dev", Version: "v1", Kind: "Service"},
	{Group: "sources.knative.dev", Version: "v1", Kind: "PingSource"},
	{Group: "eventing.knative.dev", Version: "v1", Kind: "Trigger"},
	{Group: "runtime.unified-platform.cs.hse.ru", Version: "v1alpha1", Kind: "Pipeline"},
	{Group: "eventing.knative.dev", Version: "v1", Kind: "Broker"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role"},
	{Version: "v1", Kind: "ServiceAccount"},
	{Version: "v1", Kind: "ConfigMap"},
	{Version: "v1", Kind: "Secret"},
}

var (
	pipelineKind  = generated[3]
	bindingKind   = generated[6]
	configMapKind = generated[9]
)

var boxKind = schema.GroupVersionKind{Group: "unified-platform.cs.hse.ru", Version: "v1", Kind: "DataBox"}

// Surplus finds the objects of the namespace that a translation has made and the module no longer
// has, in the order of their removal. Boxes come last and only for boxes. What somebody else made
// stays: only objects with the labels of the module count, and of Secrets only those without an
// owner.
func (c *Cluster) Surplus(ctx context.Context, namespace string, objects []*Object, boxes bool) ([]*Object, error) {
	wanted := map[string]bool{}
	for _, o := range objects {
		wanted[Name(o)] = true
	}
	kinds := generated
	if boxes {
		kinds = append(slices.Clone(kinds), boxKind)
	}
	var surplus []*Object
	for _, k := range kinds {
		found, err := c.list(ctx, namespace, k,
			client.MatchingLabels{label.ManagedBy: label.Unip, label.Instance: namespace})
		if err != nil {
			return nil, err
		}
		for _, o := range found {
			if !wanted[Name(o)] && len(o.GetOwnerReferences()) == 0 && o.GetDeletionTimestamp() == nil {
				surplus = append(surplus, o)
			}
		}
	}
	return surplus, nil
}

// list reads all objects of a kind; a kind that the cluster does not know has none.
func (c *Cluster) list(
	ctx context.Context, namespace string, k schema.GroupVersionKind, options ...client.ListOption,
) ([]*Object, error) {
	var all []*Object
	next := ""
	for {
		l := &unstructured.UnstructuredList{}
		l.SetGroupVersionKind(k.GroupVersion().WithKind(k.Kind + "List"))
		page := []client.ListOption{client.InNamespace(namespace), client.Limit(pageSize), client.Continue(next)}
		err := c.List(ctx, l, append(page, options...)...)
		if meta.IsNoMatchError(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", k.Kind, err)
		}
		for i := range l.Items {
			all = append(all, &l.Items[i])
		}
		if next = l.GetContinue(); next == "" {
			slices.SortFunc(all, func(a, b *Object) int { return cmp.Compare(a.GetName(), b.GetName()) })
			return all, nil
		}
	}
}

// Delete removes objects one after the other and waits for the end of each: of several Triggers of
// one Broker that go at once, Knative's in-memory channel keeps subscribers. A ConfigMap that a
// Revision still mounts is kept, to go with a later removal; or, with unmounted, its turn comes
// when the Revision has gone.
func (c *Cluster) Delete(ctx context.Context, objects []*Object, unmounted bool, tell func(Result)) error {
	for _, o := range objects {
		var by string
		err := poll(ctx, func() (bool, error) {
			now, err := c.mountedBy(ctx, o)
			if err == nil { // else the context may have ended in the middle of the question: what was known counts
				by = now
			}
			return by == "" || !unmounted, err
		})
		if err != nil && by != "" {
			err = fmt.Errorf("revision %s still refers to it: %w", by, err)
		}
		if err != nil {
			return fmt.Errorf("deleting %s: %w", Name(o), err)
		}
		if by != "" {
			tell(Result{Object: Name(o), Result: "kept", Reason: "revision " + by + " refers to it"})
			continue
		}
		err = c.Client.Delete(ctx, o, client.PropagationPolicy(metav1.DeletePropagationBackground))
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("deleting %s: %w", Name(o), err)
		}
		if err := c.awaitEnd(ctx, o); err != nil {
			return err
		}
		tell(Result{Object: Name(o), Result: "deleted"})
	}
	return nil
}

// awaitEnd waits until an object is gone, and with a Knative Service its pods: a namespace that
// goes while pods are on their way out is looked at again only after half of their grace period.
func (c *Cluster) awaitEnd(ctx context.Context, o *Object) error {
	err := poll(ctx, func() (bool, error) {
		live, err := c.get(ctx, o)
		return live == nil || live.GetUID() != o.GetUID() && o.GetUID() != "", err
	})
	if err == nil && o.GroupVersionKind() == generated[0] {
		err = poll(ctx, func() (bool, error) {
			pods, err := c.list(ctx, o.GetNamespace(), schema.GroupVersionKind{Version: "v1", Kind: "Pod"},
				client.MatchingLabels{"serving.knative.dev/service": o.GetName()})
			return len(pods) == 0, err
		})
	}
	if err != nil {
		return fmt.Errorf("waiting for the end of %s: %w", Name(o), err)
	}
	return nil
}

// mountedBy names a Revision whose volumes hold an object that is a ConfigMap.
func (c *Cluster) mountedBy(ctx context.Context, configMap *Object) (string, error) {
	if k := configMap.GroupVersionKind(); k.Group != "" || k.Kind != "ConfigMap" {
		return "", nil
	}
	revisions, err := c.list(ctx, configMap.GetNamespace(),
		schema.GroupVersionKind{Group: "serving.knative.dev", Version: "v1", Kind: "Revision"})
	if err != nil {
		return "", err
	}
	for _, r := range revisions {
		volumes, _, _ := unstructured.NestedSlice(r.Object, "spec", "volumes") // the shape is Knative's
		for _, v := range volumes {
			volume, _ := v.(map[string]any)
			name, _, _ := unstructured.NestedString(volume, "configMap", "name")
			if name == configMap.GetName() && r.GetDeletionTimestamp() == nil {
				return r.GetName(), nil
			}
		}
	}
	return "", nil
}

// pollEvery is how often a wait looks.
const pollEvery = 300 * time.Millisecond

// poll looks until it is done or the context ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		ok, err := done()
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// ErrNotReady is the error of a wait that ended before everything was ready.
var ErrNotReady = errors.New("not ready")
