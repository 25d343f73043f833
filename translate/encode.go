package translate

import (
	"bytes"
	"encoding/json"
	"fmt"

	"gopkg.in/yaml.v3"
	"k8s.io/apimachinery/pkg/runtime"
)

// YAML writes objects as documents, with the indentation that ko keeps.
func YAML(objects []Object) ([]byte, error) {
	var b bytes.Buffer
	for i, o := range objects {
		m, err := plain(o)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteString("---\n")
		}
		e := yaml.NewEncoder(&b)
		e.SetIndent(2)
		if err := e.Encode(m); err != nil {
			return nil, fmt.Errorf("encoding %s: %w", o.GetName(), err)
		}
	}
	return b.Bytes(), nil
}

// JSON writes objects as one List.
func JSON(objects []Object) ([]byte, error) {
	items := []any{}
	for _, o := range objects {
		m, err := plain(o)
		if err != nil {
			return nil, err
		}
		items = append(items, m)
	}
	b, err := json.MarshalIndent(map[string]any{"apiVersion": "v1", "kind": "List", "items": items}, "", "  ")
	return append(b, '\n'), err
}

// plain is an object without what is only there because Go has no absence: null times, empty status.
func plain(o Object) (map[string]any, error) {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", o.GetName(), err)
	}
	for _, k := range []string{"spec", "status"} {
		if empty, ok := m[k].(map[string]any); ok && len(empty) == 0 {
			delete(m, k)
		}
	}
	prune(m)
	return m, nil
}

func prune(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if x == nil && k == "creationTimestamp" {
				delete(v, k)
				continue
			}
			if empty, ok := x.(map[string]any); ok && len(empty) == 0 && k == "resources" {
				delete(v, k)
				continue
			}
			prune(x)
		}
	case []any:
		for _, x := range v {
			prune(x)
		}
	}
}
