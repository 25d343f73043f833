package openapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

var digits = Description{
	Summary: "Reads digits.\n\nMore about it.",
	Inputs: []Variable{
		{Name: "image", Description: "one or more images, line by line", Types: []string{"FP32", "INT32"}},
		{Name: "hint", Description: "a word", Types: []string{"str"}, Optional: true},
		{Name: "options", Types: []string{"dict"}}, {Name: "photo", Types: []string{"FILE", "str"}},
		{Name: "flag", Types: []string{"BOOL"}}, {Name: "raw", Types: []string{"BYTES"}}, {Name: "any"},
	},
	Outputs: []Variable{{Name: "digit", Description: "the digit", Types: []string{"INT32"}}},
}

func TestDocumentIsOpenAPI(t *testing.T) {
	t.Parallel()
	for _, d := range []Description{digits, {}, {Summary: "no fields"}} {
		b, err := json.Marshal(Document("digits", d))
		if err != nil {
			t.Fatal(err)
		}
		document, err := openapi3.NewLoader().LoadFromData(b)
		if err != nil {
			t.Fatal(err)
		}
		if document.OpenAPI != "3.1.0" {
			t.Errorf("version %s", document.OpenAPI)
		}
		for _, path := range []string{"/predict", "/v2/models/digits/infer"} {
			if document.Paths.Find(path).Post.Responses.Status(200).Value.Content["text/event-stream"] == nil {
				t.Errorf("%s has no events", path)
			}
		}
		for _, path := range []string{"/predict", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/digits",
			"/v2/models/digits/ready", "/v2/models/digits/infer"} {
			if document.Paths.Find(path) == nil {
				t.Errorf("%s is not described, but %v", path, document.Paths.Keys())
			}
		}
		again, err := json.Marshal(Document("digits", d))
		if err != nil || string(again) != string(b) {
			t.Error("another document for the same docstring")
		}
	}
}

// Every example is what its schema (JSON Schema 2020-12, as OpenAPI 3.1 has it) wants.
func TestExamplesFitTheirSchemas(t *testing.T) {
	t.Parallel()
	for _, d := range []Description{digits, {}} {
		b, err := json.Marshal(Document("digits", d))
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource("https://example.org/openapi.json", document); err != nil {
			t.Fatal(err)
		}
		examples := 0
		var walk func(at string, v any)
		walk = func(at string, v any) {
			o, ok := v.(object)
			if !ok {
				return
			}
			if e, ok := o["example"]; ok {
				examples++
				schema, err := c.Compile("https://example.org/openapi.json#" + at + "/schema")
				if err != nil {
					t.Fatal(err)
				}
				if err := schema.Validate(e); err != nil {
					t.Errorf("%s: %v", at, err)
				}
			}
			for k, below := range o {
				walk(at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(k), below)
			}
		}
		walk("", document)
		if examples < 14 {
			t.Errorf("%d examples", examples)
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	want := Model{
		Name: "digits", Versions: []string{"1"}, Platform: "python",
		Inputs: []Tensor{
			{"image", "FP32", []int{-1}}, {"hint", "BYTES", []int{-1}}, {"options", "BYTES", []int{1}},
			{"photo", "BYTES", []int{1}}, {"flag", "BOOL", []int{-1}}, {"raw", "BYTES", []int{-1}},
			{"any", "BYTES", []int{1}},
		},
		Outputs: []Tensor{{"digit", "INT32", []int{-1}}},
	}
	if d := cmp.Diff(want, Metadata("digits", digits)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	b, err := json.Marshal(Metadata("digits", Description{}))
	if err != nil || !strings.Contains(string(b), `"inputs":[],"outputs":[]`) {
		t.Errorf("without a docstring: %s %v", b, err)
	}
}
