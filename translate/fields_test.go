package translate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/unip-knative/unip/translate"
	"github.com/unip-knative/unip/translate/manifest"
)

// others are other values of fields, where one more letter, one more or the opposite is none. A
// field that names an object must still name one.
var others = map[string]any{
	"metadata.namespace":                                     "pu-boris-pa-leaves",
	"DataBox.spec.s3DefaultStorage.capacity":                 "3G",
	"MLComponent.spec.mlService.modelBox":                    "visitors",
	"MLComponent.spec.connectedBoxes[].name":                 "visitors",
	"MLComponent.spec.resourceLimits.memory":                 "5Gi",
	"ExperimentPipeline.spec.vars[].mountFrom.box":           "visitors",
	"ExperimentPipeline.spec.vars[].mountFrom.name":          "visitors",
	"ExperimentPipeline.spec.connectedBoxes[].name":          "weights",
	"ExperimentPipeline.spec.stages[].timeout":               "6m",
	"ExperimentPipeline.spec.stages[].resourceLimits.memory": "5Gi",
	"APIComponent.spec.mlComponent.name":                     "quiet",
	"APIComponent.spec.experimentPipeline.name":              "report",
	"Secret.spec.data.token":                                 "eA==",
	manifest.Prefix + "timeout":                              "11s",
	manifest.Prefix + "scale-down-delay":                     "6m",
	manifest.Prefix + "anonymous-calls":                      "Refuse",
	manifest.Prefix + "mounts":                               "on",
	manifest.Prefix + "model-updates":                        "restart",
	manifest.Prefix + "schedule":                             "@weekly",
	manifest.Prefix + "shared-with":                          "pu-carl-pa-*",
	"on-upload[].box":                                        "weights",
	"on-upload[].input":                                      "backbone",
	"on-upload[].outputs.model":                              "weights:/other/",
}

// No field is silent: of each field of each kind, of the metadata, of the annotations and of the
// rules in them, another value makes other objects or other findings, or leaving it out takes a note
// away.
func TestNoFieldIsSilent(t *testing.T) {
	t.Parallel()
	in, o := read(t, "testdata/every-field")
	m := moduleOf(t, in.Data, o)
	var fields []field
	for _, k := range manifest.Kinds {
		fields = append(fields, fieldsOf(reflect.TypeFor[manifest.Meta](), k.Name, nil, "metadata")...)
		fields = append(fields, fieldsOf(k.Spec, k.Name, nil, "spec")...)
	}
	for _, a := range manifest.Annotations {
		if a.Name != manifest.OnUpload.Name {
			fields = append(fields, field{a.Kind, []string{"metadata", "annotations", a.Name}, true})
		}
	}
	fields = append(fields, field{"DataBox", []string{"metadata", "annotations", "other"}, true})
	rules := []string{"metadata", "annotations", manifest.OnUpload.Name}
	fields = append(fields, fieldsOf(reflect.TypeFor[manifest.UploadRule](), "ExperimentPipeline", rules, "[]")...)
	if len(fields) < 150 {
		t.Errorf("only %d fields", len(fields))
	}
	for _, f := range fields {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			if metaOf(f, "DataBox") {
				return
			}
			m.check(t, f)
		})
	}
}

// metaOf reports metadata of another kind than one, but for its labels and for annotations of
// unip's: all is read by the same code.
func metaOf(f field, kind string) bool {
	return f.kind != kind && len(f.path) > 1 && f.path[0] == "metadata" && f.path[1] != "labels" &&
		(len(f.path) == 2 || f.path[2] == "*")
}

// field is where one stands in a document of a kind: names of fields, and "[]" for any entry of a
// list.
type field struct {
	kind string
	path []string
	leaf bool
}

func (f field) String() string {
	s := strings.ReplaceAll(strings.Join(f.path, "."), ".[]", "[]")
	if i := slices.Index(f.path, manifest.OnUpload.Name); i >= 0 {
		return "on-upload" + strings.Join(f.path[i+1:], ".")
	}
	if f.path[0] == "metadata" {
		return s
	}
	return f.kind + "." + s
}

// fieldsOf are the fields of a type and of those in it.
func fieldsOf(t reflect.Type, kind string, before []string, name string) []field {
	path := append(slices.Clone(before), name)
	for t.Kind() == reflect.Pointer && t != reflect.TypeFor[*yaml.Node]() {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Slice:
		return append([]field{{kind, path, false}}, fieldsOf(t.Elem(), kind, path, "[]")...)
	case t.Kind() == reflect.Map:
		return []field{{kind, path, false}, {kind, append(slices.Clone(path), "*"), true}}
	case t.Kind() != reflect.Struct, t == reflect.TypeFor[manifest.Text](), t == reflect.TypeFor[manifest.Duration](),
		t == reflect.TypeFor[manifest.Quantity]():
		return []field{{kind, path, true}}
	}
	all := []field{{kind, path, false}}
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" {
			all = append(all, fieldsOf(t.Field(i).Type, kind, path, name)...)
		}
	}
	return all
}

// tree is a module whose fields can be changed, and what it translates to.
type tree struct {
	documents []any
	options   translate.Options
	outcome   outcome
}

type outcome struct {
	out, said string
	failed    bool
}

func moduleOf(t *testing.T, data []byte, o translate.Options) *tree {
	t.Helper()
	m := &tree{options: o}
	for d := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var v any
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		m.documents = append(m.documents, v)
	}
	if m.outcome = m.translate(t, m.documents); m.outcome.failed {
		t.Fatal(m.outcome.said)
	}
	return m
}

// positions differ when anything does.
var positions = regexp.MustCompile(`in\.yaml:\d+:\d+`)

func (m *tree) translate(t *testing.T, documents []any) outcome {
	t.Helper()
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	for _, d := range documents {
		if err := e.Encode(d); err != nil {
			t.Fatal(err)
		}
	}
	out, said := run(t, m.options, manifest.File{Name: "in.yaml", Data: b.Bytes()})
	return outcome{out, positions.ReplaceAllString(said, "in.yaml"), out == ""}
}

// check changes a field wherever it stands until that is noticed.
func (m *tree) check(t *testing.T, f field) {
	stands := 0
	for i, d := range m.documents {
		if d.(map[string]any)["kind"] != f.kind {
			continue
		}
		for _, change := range []bool{true, false} {
			for n := 0; ; n++ {
				left := n
				changed, ok := edit(d, f, f.path, change, &left)
				if !ok {
					break
				}
				stands++
				documents := slices.Clone(m.documents)
				documents[i] = changed
				got := m.translate(t, documents)
				// that a needed field is missing does not say that its value matters
				if got != m.outcome && (change || !f.leaf || !got.failed) {
					return
				}
			}
		}
	}
	if stands == 0 {
		t.Errorf("testdata/every-field/in.yaml has no %s: write it there, with a value that has an effect", f)
		return
	}
	t.Errorf("%s is silent: another value, or none, makes neither other objects nor other findings", f)
}

// edit gives a copy of a value in which the n-th of what a path leads to has another value, or is
// left out. n counts down to that one.
func edit(v any, f field, path []string, change bool, n *int) (any, bool) {
	if text, ok := v.(string); ok && len(path) > 0 && path[0] == "[]" { // JSON in an annotation
		var inner any
		if json.Unmarshal([]byte(text), &inner) != nil {
			return nil, false
		}
		inner, ok = edit(inner, f, path, change, n)
		b, err := json.Marshal(inner)
		return string(b), ok && err == nil
	}
	if len(path) == 0 {
		if *n--; *n >= 0 {
			return nil, false
		}
		return other(v, f), change
	}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if key != path[0] && path[0] != "*" {
				continue
			}
			if x, ok := into(v[key], f, path[1:], change, n); ok {
				all := maps.Clone(v)
				if all[key] = x; x == nil {
					delete(all, key)
				}
				return all, true
			}
		}
	case []any:
		for i := range v {
			if path[0] != "[]" {
				break
			}
			if x, ok := into(v[i], f, path[1:], change, n); ok {
				all := slices.Clone(v)
				if all[i] = x; x == nil {
					all = slices.Delete(all, i, i+1)
				}
				return all, true
			}
		}
	}
	return nil, false
}

// into is edit of a value in another one; nil is one to be left out.
func into(v any, f field, path []string, change bool, n *int) (any, bool) {
	if len(path) > 0 || change {
		return edit(v, f, path, change, n)
	}
	*n--
	return nil, *n < 0
}

// other is another value of a field, nil when there is none.
func other(v any, f field) any {
	for _, name := range []string{f.String(), f.path[len(f.path)-1]} {
		if x, ok := others[name]; ok && x != v {
			return x
		}
	}
	switch v := v.(type) {
	case string:
		var i int
		if _, err := fmt.Sscanf(v, "%d", &i); err == nil && fmt.Sprint(i) == v {
			return fmt.Sprint(i + 1)
		}
		return v + "x"
	case int:
		return v + 1
	case bool:
		return !v
	}
	return nil
}
