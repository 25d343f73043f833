package module

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/translate/manifest"
)

// OwnLabels are the labels that unip gives to all that it makes.
var OwnLabels = []string{
	"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/part-of",
	"app.kubernetes.io/component", "app.kubernetes.io/managed-by",
}

// VersionLabel is one that unip sets where the module's Repository says the revision.
const VersionLabel = "app.kubernetes.io/version"

// reservedDomains are those below which a label means something to a cluster. What stands at or
// below one is not the author's to say.
var reservedDomains = []string{"kubernetes.io", "k8s.io", "knative.dev", manifest.Group}

// labels are those of an object's metadata that what is made of it carries.
func labels(s *scope, m *manifest.Meta) map[string]string {
	out := map[string]string{}
	for _, key := range sortedKeys(m.Labels) {
		value := m.Labels[key]
		switch why := wrongLabel(key, value.Value); {
		case why != "":
			s.Errorf(value.At, "metadata.labels: %s: %s", key, why)
		case slices.Contains(OwnLabels, key), key == VersionLabel && s.source.Revision != "":
			s.Notef(value.At, "metadata.labels: %s stays as unip sets it", key)
		default:
			out[key] = value.Value
		}
	}
	return out
}

// wrongLabel says what is wrong about a label; "" when nothing is.
func wrongLabel(key, value string) string {
	if why := validation.IsQualifiedName(key); len(why) > 0 {
		return "no name of a label: " + why[0]
	}
	domain, _, ok := strings.Cut(key, "/")
	reserved := func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) }
	if ok && domain != "app.kubernetes.io" && slices.ContainsFunc(reservedDomains, reserved) {
		return "labels of this domain steer the cluster, and are not a module's; app.kubernetes.io/… is free"
	}
	if why := validation.IsValidLabelValue(value); len(why) > 0 {
		return why[0]
	}
	return ""
}

// noteAnnotations says which annotations are none of unip's; those are looked at with the kind that
// has them.
func noteAnnotations(found *scope, m *manifest.Meta) {
	for _, key := range sortedKeys(m.Annotations) {
		if !strings.HasPrefix(key, manifest.Prefix) {
			found.Notef(m.Annotations[key].At, "metadata.annotations: %s has no effect; unip's begin with %s", key, manifest.Prefix)
		}
	}
}

// noLabels says that labels of an object of which nothing is made reach nothing.
func noLabels(s *scope, h *manifest.Header) {
	if len(labels(s, &h.Meta)) > 0 {
		s.Notef(h.Meta.Key("labels"), "metadata.labels: no object is made of a %s, which could carry them", h.Kind)
	}
}

// gatewayLabels joins the labels of all APIComponents, of which one gateway is made: of a label
// that several have, the first value by the APIComponents' names stays.
func gatewayLabels(s *scope) map[string]string {
	out, first := map[string]string{}, map[string]string{}
	all := slices.Clone(s.read.APIs)
	slices.SortStableFunc(all, func(a, b *manifest.APIComponent) int {
		return strings.Compare(a.Meta.Name.Value, b.Meta.Name.Value)
	})
	for _, x := range all {
		for key, value := range labels(s, &x.Meta) {
			if before, there := first[key]; there && out[key] != value {
				s.Notef(x.Meta.Labels[key].At,
					"metadata.labels: %s stays %q, as APIComponent %s has it: all of a module's are one gateway", key, out[key],
					before)
				continue
			}
			if _, there := first[key]; !there {
				out[key], first[key] = value, x.Meta.Name.Value
			}
		}
	}
	return out
}
