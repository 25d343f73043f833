package module

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
)

// objects are the manifests' objects, and by their names those that others name.
type objects struct {
	read       *manifest.Module
	namespace  string
	boxes      map[string]*manifest.DataBox
	components map[string]*manifest.MLComponent
	pipelines  map[string]*manifest.ExperimentPipeline
	secrets    map[string]*manifest.Secret
}

func index(found *scope, read *manifest.Module, namespace string) objects {
	byName(found, read.APIs)
	byName(found, read.Repositories)
	byName(found, read.Apps)
	byName(found, read.Datasets)
	byName(found, read.Scalings)
	return objects{
		read, namespace,
		byName(found, read.Boxes), byName(found, read.Components), byName(found, read.Pipelines),
		byName(found, read.Secrets),
	}
}

// byName finds objects of one kind. A second one of a name is an error, and so is a name that
// Kubernetes or unip does not allow.
func byName[T interface{ Head() *manifest.Header }](found *scope, all []T) map[string]T {
	m := make(map[string]T, len(all))
	for _, x := range all {
		h := x.Head()
		name := h.Meta.Name
		if before, twice := m[name.Value]; twice {
			found.Errorf(name.At, "%s %s is there twice; first at %s", h.Kind, name.Value, before.Head().Position)
			continue
		}
		m[name.Value] = x
		for _, why := range wrongName(h.Kind, name.Value) {
			found.Errorf(name.At, "metadata.name: %q %s", name.Value, why)
		}
	}
	return m
}

// maxService is the longest name of a Knative Service whose Revisions ("-00001") and their
// Deployments ("-deployment") still are labels of DNS.
const maxService = 44

// wrongName says what Kubernetes or unip does not allow about a name.
func wrongName(kind, name string) []string {
	switch kind {
	case "MLComponent":
		if name == names.Gateway {
			return []string{"is the name of the module's own gateway"}
		}
		return labelOf(name, maxService, "must be no more than %d characters, for Knative appends to it")
	case "ExperimentPipeline":
		return labelOf(name, pipeline.MaxName, "must be no more than %d characters")
	case "Secret":
		if managedSecret(name) {
			return []string{"is a name that unip keeps for its own Secrets"}
		}
		return validation.IsDNS1123Subdomain(name)
	case "Repository", "PlatformApp", "ScalingConfig":
		return validation.IsDNS1123Subdomain(name)
	default:
		return validation.IsDNS1123Label(name)
	}
}

func labelOf(name string, longest int, tooLong string) []string {
	wrong := validation.IsDNS1035Label(name)
	if len(wrong) == 0 && len(name) > longest {
		return []string{fmt.Sprintf(tooLong, longest)}
	}
	return wrong
}

// managedSecret reports names of Secrets that unip itself makes.
func managedSecret(name string) bool {
	return name == names.ModuleKey || name == names.RunLogs ||
		(names.Managed(name) && !strings.HasPrefix(name, "unip-"))
}

// oneNamespace is that of all objects: the module's name and the first segment of its URLs. With it
// comes the place of the first object. A ScalingConfig may be in another one, as the platform's
// autoscaler reads those of all namespaces: its target's namespace says whom it scales.
func oneNamespace(found *scope, read *manifest.Module) (namespace string, first manifest.Position) {
	heads := read.Heads()
	anywhere := func(h *manifest.Header) bool { return h.Kind == "ScalingConfig" }
	if i := slices.IndexFunc(heads, func(h *manifest.Header) bool { return !anywhere(h) }); i > 0 {
		heads = append(slices.Clone(heads[i:]), heads[:i]...)
	}
	for i, h := range heads {
		ns := h.Meta.Namespace
		noteAnnotations(found, &h.Meta)
		if i == 0 {
			namespace, first = ns.Value, h.Position
			for _, why := range validation.IsDNS1123Label(ns.Value) {
				found.Errorf(ns.At, "metadata.namespace: %q %s", ns.Value, why)
			}
			if belongsToCluster(found.config, ns.Value) {
				found.Errorf(ns.At, "metadata.namespace: %s is a namespace of the cluster itself, and no module's",
					ns.Value)
			}
		}
		switch {
		case ns.Value == namespace:
		case anywhere(h):
			found.Notef(ns.At, "metadata.namespace: %q is not the module's: a ScalingConfig may be in any, "+
				"and its target's namespace counts", ns.Value)
		default:
			found.Errorf(ns.At, "metadata.namespace: %q differs from %q of %s; a module is one namespace",
				ns.Value, namespace, first)
		}
	}
	return namespace, first
}

// belongsToCluster reports namespaces that are Kubernetes', Knative's, the ingress's or unip's own:
// a module there would set their Pod Security level, and its objects could take the place of
// theirs.
func belongsToCluster(config installation.Config, ns string) bool {
	return strings.HasPrefix(ns, "kube-") || strings.HasPrefix(ns, "knative-") || ns == names.SystemNamespace ||
		slices.Contains(config.NetworkPolicies.IngressNamespaces, ns)
}

// lacksBox reports, and finds wrong, a box that a field names and that is not there.
func (s *scope) lacksBox(where string, name manifest.Text) bool {
	_, ok := s.boxes[name.Value]
	if !s.read.Lacks("DataBox", name.Value, ok) {
		return false
	}
	s.Errorf(name.At, "%s: there is no DataBox %q%s", where, name.Value, thereAre(s.boxes))
	return true
}

// thereAre names the objects that there are.
func thereAre[T any](byName map[string]T) string {
	if len(byName) == 0 {
		return ""
	}
	return "; there are " + strings.Join(sortedKeys(byName), ", ")
}
