package module

import (
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/translate/manifest"
)

// labels are those of an object's metadata that what is made of it carries.
func labels(s *scope, m *manifest.Meta) map[string]string {
	out := map[string]string{}
	for _, key := range sortedKeys(m.Labels) {
		value := m.Labels[key]
		switch why := label.Wrong(key, value.Value); {
		case why != "":
			s.Errorf(value.At, "metadata.labels: %s: %s", key, why)
		case label.IsOwn(key), key == label.Version && s.source.Revision != "":
			s.Notef(value.At, "metadata.labels: %s stays as unip sets it", key)
		default:
			out[key] = value.Value
		}
	}
	return out
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
