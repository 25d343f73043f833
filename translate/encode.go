package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	k8sruntime "k8s.io/apimachinery/pkg/runtime"
)

// YAML writes objects as documents.
func YAML(objects []Object) ([]byte, error) {
	parts := make([][]byte, len(objects))
	err := inParallel(len(objects), func(i int) error {
		m, err := plain(objects[i])
		if err != nil {
			return err
		}
		var e emitter
		err = e.document(m)
		if err != nil {
			err = fmt.Errorf("encoding %s: %w", objects[i].GetName(), err)
		}
		parts[i] = e.out
		return err
	})
	return bytes.Join(parts, []byte("---\n")), err
}

// inParallel does n independent things on all processors. The error is that of the first of them that failed.
func inParallel(n int, do func(i int) error) error {
	workers := min(runtime.GOMAXPROCS(0), n)
	errs := make([]error, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = do(i)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
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
