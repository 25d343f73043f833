package module

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// SourceOf is the object of an entry of envFrom, and whether it may be missing.
func SourceOf(from corev1.EnvFromSource) (kind, name string, optional bool) {
	if r := from.SecretRef; r != nil {
		return "Secret", r.Name, r.Optional != nil && *r.Optional
	}
	r := from.ConfigMapRef
	return "ConfigMap", r.Name, r.Optional != nil && *r.Optional
}

// KeyOf is the object and the key that a variable's value comes from, and whether they may be
// missing.
func KeyOf(from *corev1.EnvVarSource) (kind, name, key string, optional bool) {
	if r := from.SecretKeyRef; r != nil {
		return "Secret", r.Name, r.Key, r.Optional != nil && *r.Optional
	}
	r := from.ConfigMapKeyRef
	return "ConfigMap", r.Name, r.Key, r.Optional != nil && *r.Optional
}

// Values are the keys and values of a Secret or a ConfigMap; ok is false when the manifests do not
// hold them.
func (m *Module) Values(kind, name string) (values map[string]string, ok bool) {
	values = map[string]string{}
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
