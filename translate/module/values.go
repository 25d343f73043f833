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

// keysOf are the keys of a Secret or a ConfigMap of the manifests, of the platform's kind or of
// Kubernetes' own; nil when those are in the cluster. known is false when the manifests have no such
// object.
func (o objects) keysOf(kind, name string) (keys []string, known bool) {
	if s := o.secrets[name]; kind == "Secret" && s != nil {
		if s.Spec.Data == nil && s.Spec.StringData == nil {
			return nil, true
		}
		return append(sortedKeys(s.Spec.Data), sortedKeys(s.Spec.StringData)...), true
	}
	for _, x := range o.read.Foreign {
		meta, _ := x.Object["metadata"].(map[string]any)
		if x.APIVersion == "v1" && x.Kind == kind && meta["name"] == name && meta["namespace"] == o.namespace {
			keys = []string{}
			for _, field := range []string{"data", "stringData", "binaryData"} {
				values, _ := x.Object[field].(map[string]any)
				keys = append(keys, sortedKeys(values)...)
			}
			return keys, true
		}
	}
	return nil, false
}

// Values are the keys and values of a Secret or a ConfigMap; ok is false when the manifests do not
// hold them.
func (m *Module) Values(kind, name string) (values map[string]string, ok bool) {
	values = map[string]string{}
	if i := slices.IndexFunc(m.Secrets, func(s Secret) bool { return s.Name == name }); kind == "Secret" && i >= 0 {
		if m.Secrets[i].Data == nil {
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
	for _, field := range []string{"data", "stringData"} {
		data, _ := m.Foreign[i].Object.Object[field].(map[string]any)
		for key, v := range data {
			text, ok := v.(string)
			if ok && kind == "Secret" && field == "data" {
				b, err := decodeBase64(text)
				text, ok = string(b), err == nil // else the API server refuses it
			}
			if ok {
				values[key] = text
			}
		}
	}
	return values, true
}
