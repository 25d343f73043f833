package translate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
)

// foreign is an object of another group, looked at as the API server would.
type foreign struct {
	*manifest.Foreign
	unstructured.Unstructured
	kind schema.GroupKind
}

func asForeign(x *manifest.Foreign) foreign {
	return foreign{x, unstructured.Unstructured{Object: x.Object}, schema.FromAPIVersionAndKind(x.APIVersion, x.Kind).GroupKind()}
}

func (f foreign) String() string { return f.Foreign.Kind + " " + f.GetName() }

// foreignObjects checks the objects of other groups, which are carried through, and names each.
func (c *checker) foreignObjects() {
	for _, x := range c.module.Foreign {
		f := asForeign(x)
		switch {
		case f.GetName() == "":
			c.found.Errorf(x.Position, "%s has no metadata.name", x.Kind)
		case f.list():
			c.found.Errorf(x.Position, "%s has a field \"items\", so kubectl would apply what is in it instead: write each object as a document", f)
		case marked(f.Unstructured.Object):
			c.found.Errorf(x.Position, "%s has a label by which unip knows its own objects: app.kubernetes.io/managed-by: unip, or one of %s", f, manifest.Group)
		case !c.allowForeign:
			c.within(f)
		}
	}
}

// within checks an object that may not leave the module.
func (c *checker) within(f foreign) {
	pods, known := manifest.Carried[manifest.GroupKind(f.kind)]
	refuse := func(format string, args ...any) {
		c.found.Errorf(f.Foreign.Position, "%s "+format+"; --allow-foreign carries it all the same", append([]any{f}, args...)...)
	}
	switch {
	case !known:
		refuse("is of no kind that a module carries: of other groups, only the usual ones of a namespace (docs/manifests.md), no rights and nothing of the whole cluster")
		return
	case c.namespace == "" && c.found.Failed(): // which it is, is not known
		return
	case c.namespace == "":
		refuse("has no module: no manifest of %s says which namespace that is", manifest.APIVersion)
		return
	case f.GetNamespace() == "":
		refuse("has no metadata.namespace; a module's objects are in its own, %s", c.namespace)
		return
	case f.GetNamespace() != c.namespace:
		refuse("is in namespace %s; a module's objects are in its own, %s", f.GetNamespace(), c.namespace)
		return
	case c.reserved(f):
		c.found.Errorf(f.Foreign.Position, "%s: the name is one of unip's own in this module; --allow-foreign allows it where no object of the module has it", f)
		return
	}
	if why := c.reaches(f, pods); why != "" {
		refuse("%s", why)
	}
}

// noteCarried names what is written beside the objects of unip.
func (c *checker) noteCarried() {
	for _, x := range c.module.Foreign {
		f := asForeign(x)
		pods, known := manifest.Carried[manifest.GroupKind(f.kind)]
		where := ""
		switch ns := f.GetNamespace(); {
		case ns == "":
			where = ", in no namespace of its own"
		case ns != c.namespace:
			where = ", in namespace " + ns
		case !known:
			where = "; it may reach beyond the module's namespace"
		case pods:
			where = fmt.Sprintf("; its pods keep to the namespace's Pod Security (%s), and unip's NetworkPolicies do not select them", c.config.Security)
		}
		c.found.Notef(x.Position, "%s is carried through unchanged%s", f, where)
	}
}

// list reports what kubectl reads as a list, whatever its kind says: its decoder looks for this field.
func (f foreign) list() bool {
	_, ok := f.Unstructured.Object["items"]
	return ok
}

// marked reports labels, of the object or of pods that it makes, by which unip finds its own.
func marked(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			if labels, ok := x.(map[string]any); ok && key == "labels" {
				for name, value := range labels {
					domain, _, _ := strings.Cut(name, "/")
					if (name == "app.kubernetes.io/managed-by" && value == "unip") || domain == manifest.Group || strings.HasSuffix(domain, "."+manifest.Group) {
						return true
					}
				}
			}
			if marked(x) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, marked)
	}
	return false
}

// reserved reports names that unip or Knative gives to objects of the module, or may give later.
func (c *checker) reserved(f foreign) bool {
	name := f.GetName()
	switch {
	case names.Managed(name), name == names.Gateway:
		return true
	case f.kind.Kind == "Broker":
		return name == names.Broker
	case f.kind.Kind == "Service", f.kind.Kind == "ServiceAccount": // Knative makes a core Service for its own
		return c.parts[name] != nil
	}
	return false
}

// reaches says how an object of a carried kind would reach beyond what a module's objects may, "" when it does not.
func (c *checker) reaches(f foreign, pods bool) string {
	spec, _ := f.Unstructured.Object["spec"].(map[string]any)
	switch f.kind {
	case schema.GroupKind{Kind: "Service"}:
		if kind, ok := spec["type"]; ok && kind != string(corev1.ServiceTypeClusterIP) {
			return "is a Service that is no ClusterIP, and so takes addresses or names outside of the namespace"
		}
		if _, ok := spec["externalIPs"]; ok {
			return "has externalIPs, by which it takes calls that are for others"
		}
	case schema.GroupKind{Kind: "Secret"}:
		if kind, ok := f.Unstructured.Object["type"].(string); ok && ownType(kind) {
			return "is of the type " + kind + ", which is a ServiceAccount's token or unip's own"
		}
	}
	if pods && c.config.NetworkPolicies.Enabled && c.config.NetworkPolicies.Egress == installation.RestrictedEgress {
		return "makes pods, which would connect to everywhere; this installation restricts a module's pods (networkPolicies.egress)"
	}
	if ref := managedRef("", f.Unstructured.Object); pods && ref != "" {
		return "gives its pods " + ref + ", which is unip's own"
	}
	return ""
}

// ownType reports types of Secrets that somebody else fills or reads: Kubernetes, with a token of
// any account of the namespace, or the controller.
func ownType(kind string) bool {
	return kind == string(corev1.SecretTypeServiceAccountToken) || strings.HasPrefix(kind, manifest.Group+"/")
}

// managedRef finds a Secret, ConfigMap or ServiceAccount of unip's own that a pod is given.
func managedRef(at string, v any) string {
	switch v := v.(type) {
	case string:
		switch at {
		case "serviceAccountName", "serviceAccount":
			if names.Managed(v) || v == names.Gateway {
				return v
			}
		case "secretName", "secretRef.name", "secretKeyRef.name", "configMapRef.name", "configMapKeyRef.name", "secret.name", "configMap.name":
			if names.Managed(v) {
				return v
			}
		}
	case map[string]any:
		for _, key := range sortedKeys(v) {
			name := key
			if key == "name" {
				name = at + ".name"
			}
			if ref := managedRef(name, v[key]); ref != "" {
				return ref
			}
		}
	case []any:
		for _, x := range v {
			if ref := managedRef(at, x); ref != "" {
				return ref
			}
		}
	}
	return ""
}

// identity is what the API server tells objects apart by.
type identity struct {
	schema.GroupKind
	namespace, name string
}

// collisions finds objects of other groups that would be written in the place of a generated one, or of each other.
func (c *checker) collisions(made []object) {
	seen := map[identity]object{}
	for _, foreigners := range []bool{false, true} { // generated objects come first
		for _, x := range made {
			if _, is := x.Object.(*unstructured.Unstructured); is != foreigners {
				continue
			}
			id := identity{x.GetObjectKind().GroupVersionKind().GroupKind(), x.GetNamespace(), x.GetName()}
			before, taken := seen[id]
			switch _, twice := before.Object.(*unstructured.Unstructured); {
			case taken && twice:
				c.found.Errorf(x.from, "%s %s is there twice; first at %s", x.kind, id.name, before.from)
			case taken:
				c.found.Errorf(x.from, "%s %s: the name is one of unip's own in this module", x.kind, id.name)
			default:
				seen[id] = x
			}
		}
	}
}
