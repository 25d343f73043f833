package module

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
)

// Foreign is an object of another group, which is carried through.
type Foreign struct {
	manifest.Position
	Object unstructured.Unstructured
	// Note says what carrying it through means.
	Note string

	kind      schema.GroupKind
	pods      bool // it makes some
	carried   bool // is of a kind that modules carry
	namespace string
}

func (f Foreign) String() string { return f.Object.GetKind() + " " + f.Object.GetName() }

// decideForeign decides an object of another group, looked at as the API server would; anywhere
// carries it wherever it goes.
func decideForeign(s *scope, x *manifest.Foreign, anywhere bool) Foreign {
	f := Foreign{
		Position: x.Position, Object: unstructured.Unstructured{Object: x.Object},
		kind: schema.FromAPIVersionAndKind(x.APIVersion, x.Kind).GroupKind(), namespace: s.namespace,
	}
	f.pods, f.carried = manifest.Carried[manifest.GroupKind(f.kind)]
	switch {
	case f.Object.GetName() == "":
		s.Errorf(f.Position, "%s has no metadata.name", x.Kind)
	case f.list():
		s.Errorf(f.Position,
			"%s has a field \"items\", so kubectl would apply what is in it instead: write each object as a document",
			f)
	case marked(x.Object):
		s.Errorf(f.Position,
			"%s has a label by which unip knows its own objects: app.kubernetes.io/managed-by: unip, or one of %s",
			f, manifest.Group)
	case !anywhere:
		f.within(s)
	}
	f.Note = fmt.Sprintf("%s is carried through unchanged%s", f, f.where(s.config))
	return f
}

// within checks an object that may not leave the module.
func (f Foreign) within(s *scope) {
	refuse := func(format string, args ...any) {
		s.Errorf(f.Position, "%s "+format+"; --allow-foreign carries it all the same", append([]any{f}, args...)...)
	}
	switch ns := f.Object.GetNamespace(); {
	case !f.carried:
		refuse("is of no kind that a module carries: of other groups, only the usual ones of a namespace (docs/manifests.md), " +
			"no rights and nothing of the whole cluster")
	case s.namespace == "" && s.Failed(): // which it is, is not known
	case s.namespace == "":
		refuse("has no module: no manifest of %s says which namespace that is", manifest.APIVersion)
	case ns == "":
		refuse("has no metadata.namespace; a module's objects are in its own, %s", s.namespace)
	case ns != s.namespace:
		refuse("is in namespace %s; a module's objects are in its own, %s", ns, s.namespace)
	case f.reserved(s.objects):
		s.Errorf(f.Position,
			"%s: the name is one of unip's own in this module; --allow-foreign allows it where no object of the "+
				"module has it", f)
	default:
		if why := f.reaches(s.config.NetworkPolicies); why != "" {
			refuse("%s", why)
		}
	}
}

// where says where an object goes and what its pods keep to.
func (f Foreign) where(config installation.Config) string {
	switch ns := f.Object.GetNamespace(); {
	case ns == "":
		return ", in no namespace of its own"
	case ns != f.namespace:
		return ", in namespace " + ns
	case !f.carried:
		return "; it may reach beyond the module's namespace"
	case f.pods:
		return fmt.Sprintf(
			"; its pods keep to the namespace's Pod Security (%s), and unip's NetworkPolicies do not select them",
			config.Security)
	}
	return ""
}

// list reports what kubectl reads as a list, whatever its kind says: its decoder looks for this
// field.
func (f Foreign) list() bool {
	_, ok := f.Object.Object["items"]
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
					if (name == label.ManagedBy && value == label.Unip) || domain == manifest.Group ||
						strings.HasSuffix(domain, "."+manifest.Group) {
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
func (f Foreign) reserved(o objects) bool {
	name := f.Object.GetName()
	switch {
	case names.Managed(name), name == names.Gateway:
		return true
	case f.kind.Kind == "Broker":
		return name == names.Broker
	case f.kind.Kind == "Service", f.kind.Kind == "ServiceAccount": // Knative makes a core Service for its own
		return o.components[name] != nil
	}
	return false
}

// reaches says how an object of a carried kind would reach beyond what a module's objects may, ""
// when it does not.
func (f Foreign) reaches(n installation.NetworkPolicies) string {
	spec, _ := f.Object.Object["spec"].(map[string]any)
	switch f.kind {
	case schema.GroupKind{Kind: "Service"}:
		if kind, ok := spec["type"]; ok && kind != string(corev1.ServiceTypeClusterIP) {
			return "is a Service that is no ClusterIP, and so takes addresses or names outside of the namespace"
		}
		if _, ok := spec["externalIPs"]; ok {
			return "has externalIPs, by which it takes calls that are for others"
		}
	case schema.GroupKind{Kind: "Secret"}:
		if kind, ok := f.Object.Object["type"].(string); ok && foreignType(corev1.SecretType(kind)) {
			return "is of the type " + kind + ", which is a ServiceAccount's token or unip's own"
		}
	}
	if f.pods && n.Enabled && n.Egress == installation.RestrictedEgress {
		return "makes pods, which would connect to everywhere; this installation restricts a module's pods (networkPolicies.egress)"
	}
	if ref := managedRef("", f.Object.Object); f.pods && ref != "" {
		return "gives its pods " + ref + ", which is unip's own"
	}
	return ""
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
		case "secretName", "secretRef.name", "secretKeyRef.name", "configMapRef.name", "configMapKeyRef.name",
			"secret.name", "configMap.name":
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
