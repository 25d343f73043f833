// Package broker finds where the events of a module go. The controller posts there, and whoever may
// edit the module's namespace may make Brokers and write their status: so it believes an address
// only of the Broker that the module's Triggers name, of the installation's class, and only one
// where Brokers of the cluster are.
package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/eventing/brokers"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
)

const (
	// remember is how long an address is taken without another look.
	remember = time.Minute
	// eventing is the namespace in which Knative's own Brokers receive.
	eventing = "knative-eventing"
)

// Finder finds the modules' Brokers and remembers them for a while.
type Finder struct {
	Live   client.Reader
	Config func() installation.Config

	mu    sync.Mutex
	known map[string]known
}

type known struct {
	url       string
	delivered bool // it answers only after its subscribers have
	until     time.Time
}

// Delivered reports a namespace whose Broker answers only after its subscribers have, as far as is
// known since an event went there last. It asks nobody.
func (f *Finder) Delivered(namespace string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known[namespace].delivered
}

// URL is where the events of a namespace go.
func (f *Finder) URL(ctx context.Context, namespace string) (string, error) {
	now := time.Now()
	f.mu.Lock()
	k, ok := f.known[namespace]
	f.mu.Unlock()
	if ok && now.Before(k.until) {
		return k.url, nil
	}
	k, err := f.brokerOf(ctx, namespace)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		delete(f.known, namespace)
		return "", err
	}
	if f.known == nil {
		f.known = map[string]known{}
	}
	k.until = now.Add(remember)
	f.known[namespace] = k
	return k.url, nil
}

// ofModule selects what translate has made.
var ofModule = client.MatchingLabels{label.ManagedBy: label.Unip}

func (f *Finder) brokerOf(ctx context.Context, namespace string) (known, error) {
	triggers := &unstructured.UnstructuredList{}
	triggers.SetGroupVersionKind(schema.GroupVersionKind{Group: "eventing.knative.dev", Version: "v1",
		Kind: "TriggerList"})
	if err := f.Live.List(ctx, triggers, client.InNamespace(namespace), ofModule); err != nil {
		return known{}, fmt.Errorf("reading the module's Triggers: %w", err)
	}
	name, err := named(triggers.Items)
	if err != nil {
		return known{}, err
	}
	b := &unstructured.Unstructured{}
	b.SetGroupVersionKind(schema.GroupVersionKind{Group: "eventing.knative.dev", Version: "v1", Kind: "Broker"})
	if err := f.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, b); err != nil {
		return known{}, fmt.Errorf("reading the module's Broker: %w", err)
	}
	u, err := address(b, f.Config())
	return known{url: u, delivered: delivered(b)}, err
}

// delivered is what the Broker says of itself: who writes a wrong channel into its status only has
// the controller wait less, or more, for this module's events.
func delivered(b *unstructured.Unstructured) bool {
	channel, _, _ := unstructured.NestedString(b.Object, "status", "annotations", brokers.ChannelAnnotation)
	return brokers.Answers(b.GetAnnotations()[brokers.ClassAnnotation], channel)
}

// named is the Broker of the module's Triggers; its name may have been prefixed.
func named(triggers []unstructured.Unstructured) (string, error) {
	var all []string
	for i := range triggers {
		name, _, _ := unstructured.NestedString(triggers[i].Object, "spec", "broker")
		if name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	switch {
	case len(all) == 0 || slices.Contains(all, names.Broker):
		return names.Broker, nil
	case len(all) == 1:
		return all[0], nil
	}
	slices.Sort(all)
	return "", fmt.Errorf("the module's Triggers name several Brokers: %s", strings.Join(all, ", "))
}

// address is what the Broker's status has, when it can be believed.
func address(b *unstructured.Unstructured, c installation.Config) (string, error) {
	if b.GetLabels()[label.ManagedBy] != label.Unip {
		return "", fmt.Errorf("the Broker %s is not the module's own", b.GetName())
	}
	if class := b.GetAnnotations()[brokers.ClassAnnotation]; class != c.Broker.Class {
		return "", fmt.Errorf("the Broker %s is of class %q, and this installation's broker.class is %q", b.GetName(),
			class, c.Broker.Class)
	}
	text, _, _ := unstructured.NestedString(b.Object, "status", "address", "url")
	if text == "" {
		return "", errors.New("the Broker has no address yet")
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("the Broker's address: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.Fragment != "" ||
		!inCluster(u.Host, b.GetNamespace(), c.ClusterDomain) {
		return "",
			fmt.Errorf(
				"the Broker's address %q is none of a Service in %s or in the module's own namespace below svc.%s",
				text, eventing, c.ClusterDomain)
	}
	return u.String(), nil
}

// inCluster reports the host, perhaps with a port, of a Service where Brokers receive: Knative's
// namespace or the module's.
func inCluster(host, namespace, domain string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	service, ok := strings.CutSuffix(strings.ToLower(host), ".svc."+domain)
	name, in, two := strings.Cut(service, ".")
	return ok && two && name != "" && (in == eventing || in == namespace)
}
