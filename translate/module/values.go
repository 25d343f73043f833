package module

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Source is the object of an entry of envFrom, and whether it may be missing.
func Source(from corev1.EnvFromSource) (kind, name string, optional bool) {
	if r := from.SecretRef; r != nil {
		return "Secret", r.Name, r.Optional != nil && *r.Optional
	}
	r := from.ConfigMapRef
	return "ConfigMap", r.Name, r.Optional != nil && *r.Optional
}

// Values are the keys and values of an entry of envFrom, without its prefix; ok is false when the
// manifests do not hold them.
func (m *Module) Values(from corev1.EnvFromSource) (values map[string]string, ok bool) {
	values = map[string]string{}
	kind, name, _ := Source(from)
	if kind == "Secret" {
		i := slices.IndexFunc(m.Secrets, func(s Secret) bool { return s.Name == name })
		if i < 0 || m.Secrets[i].Data == nil {
			return nil, false
		}
		for key, value := range m.Secrets[i].Data {
			values[key] = string(value)
		}
		return values, true
	}
	i := slices.IndexFunc(m.Foreign, func(f Foreign) bool {
		return f.kind.Group == "" && f.kind.Kind == kind && f.Object.GetName() == name &&
			f.Object.GetNamespace() == m.Namespace
	})
	if i < 0 {
		return nil, false
	}
	data, _ := m.Foreign[i].Object.Object["data"].(map[string]any)
	for key, v := range data {
		if text, ok := v.(string); ok {
			values[key] = text
		}
	}
	return values, true
}
