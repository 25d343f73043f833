package openapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

const doc = `Reads digits.

    More about it.

    :param inputs.image: one or more images,
        line by line
    :type inputs.image: FP32 or INT32
    :param inputs.hint: a word
    :type inputs.hint: str, optional
    :param outputs.digit: the digit
    :type outputs.digit: INT32
    :return: a list
    `

func TestParse(t *testing.T) {
	t.Parallel()
	got, errs := Parse(doc)
	if len(errs) > 0 {
		t.Error(errs)
	}
	want := Description{
		Summary: "Reads digits.\n\nMore about it.",
		Inputs: []Variable{
			{Name: "image", Description: "one or more images, line by line", Types: []string{"FP32", "INT32"}},
			{Name: "hint", Description: "a word", Types: []string{"str"}, Optional: true},
		},
		Outputs: []Variable{{Name: "digit", Description: "the digit", Types: []string{"INT32"}}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestParseNamesTheLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"x\n:type inputs.a: float":                 `line 2: inputs.a: unknown type "float"`,
		":type inputs.a: FP32, required":           `line 1: inputs.a: after the comma only "optional" may stand, not "required"`,
		":param inputs.a: x\n:param inputs.a:y":    "line 2: inputs.a is described twice",
		":type inputs.a: str\n:type inputs.a: str": "line 2: inputs.a: its type is said twice",
		":param inputs a: x":                       `line 1: ":param inputs a: x" is not of the form`,
	} {
		_, errs := Parse(in)
		if len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), want) {
			t.Errorf("%q: %v, want %s", in, errs, want)
		}
	}
}

func TestDocumentIsOpenAPI(t *testing.T) {
	t.Parallel()
	for _, in := range []string{doc, "", "no fields"} {
		d, _ := Parse(in)
		b, err := json.Marshal(Document("digits", d))
		if err != nil {
			t.Fatal(err)
		}
		document, err := openapi3.NewLoader().LoadFromData(b)
		if err != nil {
			t.Fatal(err)
		}
		if document.OpenAPI != "3.1.0" || document.Paths.Find("/predict") == nil {
			t.Errorf("version %s, paths %v", document.OpenAPI, document.Paths.Keys())
		}
		again, err := json.Marshal(Document("digits", d))
		if err != nil || string(again) != string(b) {
			t.Error("another document for the same docstring")
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(doc)
	f.Fuzz(func(t *testing.T, in string) {
		d, _ := Parse(in)
		if _, err := json.Marshal(Document("x", d)); err != nil {
			t.Error(err)
		}
	})
}
