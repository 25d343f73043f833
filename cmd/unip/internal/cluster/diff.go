package cluster

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/aymanbagabas/go-udiff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Difference is what an application would change of one object. Before is empty for an object that
// would be created, After for one that would be removed.
type Difference struct {
	Object string `json:"object"`
	Diff   string `json:"diff"`
}

// Diff asks the API server, by a dry run, what would come of applying the objects and removing the
// surplus ones, and compares. Only what an application can change is compared: no status and none
// of the server's bookkeeping. The values of Secrets are shown as a mark that differs when they do.
// In a namespace that does not exist a dry run is not possible: its objects are shown as they are.
// A surplus ConfigMap that a Revision still mounts is no difference, for an application keeps it;
// of a Secret with users of `unip users` only what came of the manifests goes.
func (c *Cluster) Diff(ctx context.Context, objects, surplus []*Object, force bool) ([]Difference, error) {
	if err := c.refuseOtherBroker(ctx, objects); err != nil {
		return nil, err
	}
	var all []Difference
	missing := map[string]bool{}
	add := func(o, before, after *Object) error {
		d, err := compare(Name(o), before, after)
		if d != "" {
			all = append(all, Difference{Name(o), d})
		}
		return err
	}
	for _, o := range objects {
		before, err := c.get(ctx, o)
		if err != nil {
			return nil, err
		}
		after := o
		if o.GetKind() == "Namespace" && before == nil {
			missing[o.GetName()] = true
		}
		if !missing[o.GetNamespace()] {
			if after, err = c.apply(ctx, o, force, true); err != nil {
				return nil, err
			}
		}
		if err := add(o, before, after); err != nil {
			return nil, err
		}
	}
	for _, o := range surplus {
		after, err := c.left(ctx, o)
		if err == nil {
			err = add(o, o, after)
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// left is what an application leaves of a surplus object, nil for nothing.
func (c *Cluster) left(ctx context.Context, o *Object) (*Object, error) {
	if HasUsers(o) {
		return c.apply(ctx, withoutModule(o), false, true)
	}
	by, err := c.mountedBy(ctx, o)
	if err != nil || by == "" {
		return nil, err
	}
	return o, nil
}

func compare(name string, before, after *Object) (string, error) {
	a, err := comparableYAML(before)
	if err != nil {
		return "", err
	}
	b, err := comparableYAML(after)
	if err != nil || a == b {
		return "", err
	}
	return udiff.Unified("live/"+name, "module/"+name, a, b), nil
}

// comparableYAML is an object for people to compare; "" for none.
func comparableYAML(o *Object) (string, error) {
	if o == nil {
		return "", nil
	}
	o = o.DeepCopy()
	for _, f := range bookkeeping {
		unstructured.RemoveNestedField(o.Object, f...)
	}
	if k := o.GroupVersionKind(); k.Group == "" && k.Kind == "Secret" {
		for _, field := range []string{"data", "stringData"} {
			values, _ := o.Object[field].(map[string]any)
			for key, v := range values {
				values[key] = mask(fmt.Sprint(v))
			}
		}
	}
	b, err := yaml.Marshal(o.Object)
	return string(b), err
}

// bookkeeping are the fields that the server, or kubectl, keeps for itself.
var bookkeeping = [][]string{
	{"status"},
	{"metadata", "managedFields"},
	{"metadata", "resourceVersion"},
	{"metadata", "uid"},
	{"metadata", "generation"},
	{"metadata", "creationTimestamp"},
	{"metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"},
}

// salt makes marks of Secrets' values comparable within this process only.
var salt = newSalt()

// mask stands for a value that must not be shown.
func mask(value string) string {
	sum := sha256.Sum256(append(salt, value...))
	return "*** (" + hex.EncodeToString(sum[:2]) + ")"
}

func newSalt() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return b
}
