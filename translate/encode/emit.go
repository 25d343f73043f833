package encode

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// emitter writes objects as YAML in block style, keys sorted, lists at the column of their key, as
// kubectl writes them. It takes structs as they are (their JSON names, from the cache that
// Kubernetes has of them) and plain values (maps, lists, strings, numbers, booleans, nil), and
// makes nothing in between. A string is only written bare when it can be nothing else, and quoted
// as in JSON, which is YAML, otherwise.
type emitter struct{ out []byte }

// document writes one object, or the map of one.
func (e *emitter) document(o any) error {
	v, err := settled(reflect.ValueOf(o))
	if err != nil {
		return err
	}
	n, err := e.mapping(v, 0, false)
	if n == 0 {
		e.out = append(e.out, "{}\n"...)
	}
	return err
}

// settled is what a value is in the end: behind pointers and interfaces, and of types that write
// themselves what they write. What is nil is no value.
func settled(v reflect.Value) (reflect.Value, error) {
	for {
		switch v.Kind() {
		case reflect.Pointer, reflect.Interface, reflect.Struct, reflect.Map, reflect.Slice:
		default:
			return v, nil
		}
		if t := value.TypeReflectEntryOf(v.Type()); v.Kind() != reflect.Interface && t.CanConvertToUnstructured() {
			plain, err := t.ToUnstructured(v)
			if err != nil {
				return v, err
			}
			v = reflect.ValueOf(plain)
			continue
		}
		switch v.Kind() {
		case reflect.Struct:
			return v, nil
		case reflect.Map, reflect.Slice:
			if v.IsNil() {
				return reflect.Value{}, nil
			}
			return v, nil
		}
		v = v.Elem() // of a nil pointer none
	}
}

// mapping writes the pairs of a struct or a map, and says how many; inline when the first of them
// continues a line ("- key: value").
func (e *emitter) mapping(v reflect.Value, indent int, inline bool) (n int, err error) {
	pair := func(key string, v reflect.Value) error {
		wrote, err := e.pair(key, v, indent, inline && n == 0)
		if wrote {
			n++
		}
		return err
	}
	if v.Kind() == reflect.Struct {
		for _, f := range value.TypeReflectEntryOf(v.Type()).OrderedFields() {
			if x := f.GetFrom(v); !f.CanOmit(x) {
				if err := pair(f.JsonName, x); err != nil {
					return n, err
				}
			}
		}
		return n, nil
	}
	switch m := v.Interface().(type) {
	case map[string]string:
		for i, key := range sorted(m) {
			e.key(key, indent, inline && i == 0)
			e.out = append(e.out, ' ')
			e.text(m[key], indent+2)
			e.out = append(e.out, '\n')
		}
		return len(m), nil
	case map[string]any:
		for _, key := range sorted(m) {
			if err := pair(key, reflect.ValueOf(m[key])); err != nil {
				return n, err
			}
		}
	default:
		if v.Type().Key().Kind() != reflect.String {
			return 0, fmt.Errorf("a value of type %s cannot be written", v.Type())
		}
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			if err := pair(key.String(), v.MapIndex(key)); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func sorted[T any](m map[string]T) []string {
	keys := slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	slices.Sort(keys)
	return keys
}

// pair writes a key and its value, unless that is only there because Go has no absence.
func (e *emitter) pair(key string, v reflect.Value, indent int, inline bool) (wrote bool, err error) {
	if v, err = settled(v); err == nil && !absent(key, v, indent == 0) {
		e.key(key, indent, inline)
		wrote, err = true, e.value(v, indent, false)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", key, err)
	}
	return wrote, err
}

func (e *emitter) key(key string, indent int, inline bool) {
	if !inline {
		e.spaces(indent)
	}
	e.text(key, -1)
	e.out = append(e.out, ':')
}

// absent reports what is left out of objects: times that are not set, containers' resources without
// any, and of the object itself an empty spec or status.
func absent(key string, v reflect.Value, top bool) bool {
	switch {
	case key == "creationTimestamp":
		return !v.IsValid()
	case key != "resources" && (!top || key != "spec" && key != "status"):
		return false
	case v.Kind() == reflect.Map:
		return v.Len() == 0
	case v.Kind() == reflect.Struct:
		written := func(f *value.FieldCacheEntry) bool { return !f.CanOmit(f.GetFrom(v)) }
		return !slices.ContainsFunc(value.TypeReflectEntryOf(v.Type()).OrderedFields(), written)
	}
	return false
}

// value writes what stands behind a key, or behind the dash of a list's item, and the end of the
// line.
func (e *emitter) value(v reflect.Value, indent int, item bool) error {
	switch {
	case v.Kind() == reflect.Struct, v.Kind() == reflect.Map:
		before := len(e.out)
		if item {
			e.out = append(e.out, ' ')
		} else {
			e.out = append(e.out, '\n')
		}
		n, err := e.mapping(v, indent+2, item)
		if n == 0 {
			e.out = append(e.out[:before], " {}\n"...)
		}
		return err
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		if v.Len() == 0 {
			e.out = append(e.out, " []\n"...)
			return nil
		}
		e.out = append(e.out, '\n')
		if item {
			indent += 2
		}
		return e.list(v, indent)
	default:
		e.out = append(e.out, ' ')
		err := e.scalar(v, indent+2)
		e.out = append(e.out, '\n')
		return err
	}
}

func (e *emitter) list(l reflect.Value, indent int) error {
	for i := range l.Len() {
		v, err := settled(l.Index(i))
		if err != nil {
			return err
		}
		e.spaces(indent)
		e.out = append(e.out, '-')
		if err := e.value(v, indent, true); err != nil {
			return err
		}
	}
	return nil
}

func (e *emitter) scalar(v reflect.Value, indent int) error {
	switch v.Kind() {
	case reflect.Invalid:
		e.out = append(e.out, "null"...)
	case reflect.String:
		e.text(v.String(), indent)
	case reflect.Slice: // of bytes
		e.text(base64.StdEncoding.EncodeToString(v.Bytes()), indent)
	case reflect.Bool:
		e.out = strconv.AppendBool(e.out, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.out = strconv.AppendInt(e.out, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.out = strconv.AppendUint(e.out, v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		b, err := json.Marshal(v.Float())
		if err != nil {
			return err
		}
		e.out = append(e.out, b...)
	default:
		return fmt.Errorf("a value of type %s cannot be written", v.Type())
	}
	return nil
}
