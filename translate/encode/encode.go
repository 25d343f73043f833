// Package encode writes objects as YAML documents, as kubectl has them, or as one List in JSON.
// The same objects give the same bytes.
package encode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	k8sruntime "k8s.io/apimachinery/pkg/runtime"

	"github.com/unip-knative/unip/translate/internal/parallel"
)

// Object is what can be written: a struct of Kubernetes' API, or an unstructured one.
type Object interface {
	k8sruntime.Object
	GetName() string
}

// YAML writes objects as documents.
func YAML[T Object](objects []T) ([]byte, error) {
	parts, err := documents(objects)
	return bytes.Join(parts, nil), err
}

// WriteYAML is YAML to a writer, which is given nothing when an object cannot be written.
func WriteYAML[T Object](w io.Writer, objects []T) error {
	parts, err := documents(objects)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// batch is how many objects are encoded one after the other into one piece: some 100 KB.
const batch = 32

// emitters keep what they have written to between batches, for a buffer that grows is copied often.
var emitters = sync.Pool{New: func() any { return new(emitter) }}

// documents are the objects' documents in their order, in pieces.
func documents[T Object](objects []T) ([][]byte, error) {
	batches := slices.Collect(slices.Chunk(objects, batch))
	pieces := make([][]byte, len(batches))
	err := parallel.Do(len(batches), func(i int) error {
		e := emitters.Get().(*emitter)
		defer emitters.Put(e)
		e.out = e.out[:0]
		for j, o := range batches[i] {
			if i > 0 || j > 0 {
				e.out = append(e.out, "---\n"...)
			}
			var content any = o
			if u, ok := any(o).(k8sruntime.Unstructured); ok {
				content = u.UnstructuredContent()
			}
			if err := e.document(content); err != nil {
				return fmt.Errorf("encoding %s: %w", o.GetName(), err)
			}
		}
		pieces[i] = bytes.Clone(e.out)
		return nil
	})
	return pieces, err
}

// WriteJSON writes objects as one List.
func WriteJSON[T Object](w io.Writer, objects []T) error {
	items := []any{}
	for _, o := range objects {
		m, err := withoutEmpty(o)
		if err != nil {
			return err
		}
		items = append(items, m)
	}
	b, err := json.MarshalIndent(map[string]any{"apiVersion": "v1", "kind": "List", "items": items}, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// withoutEmpty is an object as a map, without null times and an empty status, which Go cannot leave
// out.
func withoutEmpty(o Object) (map[string]any, error) {
	m, err := k8sruntime.DefaultUnstructuredConverter.ToUnstructured(o)
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
