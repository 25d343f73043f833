// Package schema describes the manifests as data: JSON Schemas (2020-12) for editors and other
// tools, and the tables of docs/manifests.md. Both come from the Go types of translate/manifest,
// which the decoder fills, and from the comments there, of which fields.json is a copy that a test
// keeps true.
//
// A schema says what has which shape. What goes beyond (references, circles, quantities) only `unip
// validate` says.
package schema

import (
	_ "embed"
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"

	"github.com/unip-knative/unip/translate/manifest"
)

//go:generate go test . -run TestGenerated -update

//go:embed fields.json
var fieldsJSON []byte

// Dialect is the version of JSON Schema.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// Kinds are the names of the kinds that have a schema, in the order of the documentation.
func Kinds() []string {
	var all []string
	for _, k := range manifest.Kinds {
		all = append(all, k.Name)
	}
	return all
}

// field is what a comment says of a field.
type field struct {
	Text       string `json:"text"`
	Required   bool   `json:"required,omitempty"`
	Default    string `json:"default,omitempty"`
	Becomes    string `json:"becomes,omitempty"`
	Constraint string `json:"constraint,omitempty"`
}

// fields are what the comments say, by Type.Field.
var fields = sync.OnceValue(func() map[string]field {
	m := map[string]field{}
	if err := json.Unmarshal(fieldsJSON, &m); err != nil {
		panic("schema: fields.json: " + err.Error()) // a test reads it
	}
	return m
})

var parts = regexp.MustCompile(
	`(?s)^(?:\w+: )?(Required\. )?(.*?)(?: ?Default: (.*?)\.)?(?: ?Becomes: (.*?)\.)?(?: ?Constraint: (.*?)\.)?$`)

// parse takes a comment apart: "Name: [Required. ]text[ Default: ….][ Becomes: ….][ Constraint:
// ….]".
func parse(comment string) field {
	p := parts.FindStringSubmatch(strings.Join(strings.Fields(comment), " "))
	return field{p[2], p[1] != "", p[3], p[4], p[5]}
}

type object = map[string]any

// Of is the schema of one kind; nil for a kind that the platform does not have.
func Of(kind string) map[string]any {
	for _, k := range manifest.Kinds {
		if k.Name == kind {
			s := body(k)
			s["$schema"], s["title"] = Dialect, kind
			return s
		}
	}
	return nil
}

// All is one schema of all kinds. Objects of other groups are valid: they are carried through.
func All() map[string]any {
	defs, versions := object{}, []any{}
	for _, v := range []string{manifest.APIVersion, manifest.AutoscalerAPIVersion} {
		choices, kinds := []any{}, []any{}
		for _, k := range manifest.Kinds {
			if k.Version() != v {
				continue
			}
			defs[k.Name] = body(k)
			choices = append(choices, object{
				"if":   object{"properties": object{"kind": object{"const": k.Name}}},
				"then": object{"$ref": "#/$defs/" + k.Name},
			})
			kinds = append(kinds, k.Name)
		}
		versions = append(versions, object{
			"if":   object{"properties": object{"apiVersion": object{"const": v}}},
			"then": object{"properties": object{"kind": object{"enum": kinds}}, "allOf": choices},
		})
	}
	return object{
		"$schema": Dialect, "title": "Manifests of the HSE unified platform", "type": "object",
		"required": []any{"apiVersion", "kind"}, "$defs": defs, "allOf": versions,
	}
}

func body(k manifest.Kind) object {
	properties := object{
		"apiVersion": object{"const": k.Version()},
		"kind":       object{"const": k.Name},
		"metadata":   metadata(k.Name),
		"spec":       of(k.Spec),
	}
	required := []any{"apiVersion", "kind", "metadata", "spec"}
	if k.Name == "Secret" { // its fields may stand at the top
		maps.Copy(properties, structure(k.Spec)["properties"].(object))
		properties["spec"] = nullable(structure(k.Spec))
		required = required[:3]
	}
	return object{"type": "object", "required": required, "properties": properties,
		"patternProperties": object{"^x-": object{}}, "additionalProperties": false}
}

// metadata of a kind, with its annotations of unip.
func metadata(kind string) object {
	s := of(reflect.TypeFor[manifest.Meta]())
	known := object{}
	for _, a := range manifest.Annotations {
		if a.Kind != kind {
			continue
		}
		known[a.Name] = object{
			"type": "string", "description": describe(field{Text: a.Text, Default: a.Default, Becomes: a.Becomes,
				Constraint: a.Bounds}),
		}
		if a.Pattern != "" {
			known[a.Name].(object)["pattern"] = a.Pattern
		}
	}
	s["properties"].(object)["annotations"].(object)["properties"] = known
	return s
}

// of is the schema of a Go type of the manifests.
func of(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[manifest.Text]():
		return object{"type": "string"}
	case reflect.TypeFor[manifest.Duration]():
		return object{"type": []any{"string", "integer"}}
	case reflect.TypeFor[manifest.Quantity]():
		return object{"type": []any{"string", "number"}}
	case reflect.TypeFor[*yaml.Node]():
		return object{}
	case reflect.TypeFor[manifest.ContinueWith]():
		return object{"anyOf": []any{object{"type": "string"}, structure(t)}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(of(t.Elem()))
	case reflect.Struct:
		return structure(t)
	case reflect.Slice:
		return nullable(object{"type": "array", "items": of(t.Elem())})
	case reflect.Map:
		return nullable(object{"type": "object", "additionalProperties": of(t.Elem())})
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return object{"type": "integer"}
	default:
		return object{"type": "string"}
	}
}

// nullable also takes nothing, as the decoder does for what may be left out.
func nullable(s object) object {
	if t, ok := s["type"].(string); ok {
		s["type"] = []any{t, "null"}
	}
	return s
}

func structure(t reflect.Type) object {
	s := object{"type": "object", "additionalProperties": false}
	properties, required := object{}, []any{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == reflect.TypeFor[manifest.Rest]() {
			s["additionalProperties"] = true
		}
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" {
			continue
		}
		p := of(f.Type)
		d := fields()[t.Name()+"."+f.Name]
		if d.Text != "" {
			p["description"] = describe(d)
		}
		if d.Required {
			required = append(required, name)
		}
		properties[name] = p
	}
	s["properties"] = properties
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func describe(d field) string {
	s := d.Text
	for _, x := range [][2]string{{"Default", d.Default}, {"Becomes", d.Becomes}, {"Constraint", d.Constraint}} {
		if x[1] != "" {
			s += " " + x[0] + ": " + x[1] + "."
		}
	}
	return s
}
