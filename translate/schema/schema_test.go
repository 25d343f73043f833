package schema

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "write fields.json and docs/manifests.md")

// comments are those of the fields in translate/manifest.
func comments(t *testing.T) map[string]field {
	t.Helper()
	all := map[string]field{}
	for _, file := range []string{"kinds.go", "pipeline.go", "system.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../manifest", file), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			s, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, x := range s.Fields.List {
				if x.Tag == nil || !strings.Contains(x.Tag.Value, "yaml:") || !ast.IsExported(spec.Name.Name) {
					continue
				}
				if !strings.HasPrefix(x.Doc.Text(), x.Names[0].Name+": ") {
					t.Errorf("%s.%s has no comment of the form %q", spec.Name.Name, x.Names[0].Name,
						x.Names[0].Name+": …")
				}
				all[spec.Name.Name+"."+x.Names[0].Name] = parse(x.Doc.Text())
			}
			return true
		})
	}
	return all
}

// fields.json is what the comments say, and docs/manifests.md is what comes of it.
func TestGenerated(t *testing.T) {
	all := comments(t)
	want, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		fields = func() map[string]field { return all }
	}
	for file, made := range map[string]struct{ have, want []byte }{
		"fields.json":             {fieldsJSON, append(want, '\n')},
		"../../docs/manifests.md": {nil, []byte(Markdown())},
	} {
		if *update {
			if err := os.WriteFile(file, made.want, 0o644); err != nil { // a document
				t.Fatal(err)
			}
			continue
		}
		if made.have == nil {
			if made.have, err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(made.have, made.want) {
			t.Errorf("%s is stale; `make generate` writes it", file)
		}
	}
}

func compile(t *testing.T, s map[string]any) *jsonschema.Schema {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("unip.json", doc); err != nil {
		t.Fatal(err)
	}
	out, err := c.Compile("unip.json")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func documents(t *testing.T, file string) []any {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []any
	for d := yaml.NewDecoder(bytes.NewReader(b)); ; {
		var v any
		if d.Decode(&v) != nil {
			return all
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if v, err = jsonschema.UnmarshalJSON(bytes.NewReader(j)); err != nil {
			t.Fatal(err)
		}
		if v != nil {
			all = append(all, v)
		}
	}
}

// All that translates is valid by the schemas, together and by kind: the examples, and every golden
// case.
func TestWhatTranslatesIsValid(t *testing.T) {
	t.Parallel()
	whole, kinds := compile(t, All()), map[string]*jsonschema.Schema{}
	for _, k := range Kinds() {
		kinds[k] = compile(t, Of(k))
	}
	files, _ := filepath.Glob("../../examples/*/manifests/*.yaml") // the pattern is well-formed
	golden, _ := filepath.Glob("../testdata/*/in.yaml")
	n := 0
	for _, f := range append(files, golden...) {
		if strings.HasPrefix(filepath.Base(filepath.Dir(f)), "error-") || strings.Contains(f, "lenient") {
			continue
		}
		for _, d := range documents(t, f) {
			n++
			if err := whole.Validate(d); err != nil {
				t.Errorf("%s: %v", f, err)
			}
			o, _ := d.(map[string]any)
			if s := kinds[o["kind"].(string)]; s != nil && o["apiVersion"] == "unified-platform.cs.hse.ru/v1" {
				if err := s.Validate(d); err != nil {
					t.Errorf("%s: %v", f, err)
				}
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d documents", n)
	}
}

// Mistakes of shape are found.
func TestWhatIsNotValid(t *testing.T) {
	t.Parallel()
	whole := compile(t, All())
	for _, c := range []string{
		"error-component-env-number", "error-unknown-kind", "error-unknown-field", "error-no-name", "error-no-spec",
		"error-no-kind", "error-component-no-image", "error-annotation-anonymous-calls", "error-annotation-workers",
	} {
		file := filepath.Join("../testdata", c, "in.yaml")
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
			continue
		}
		ok := true
		for _, d := range documents(t, file) {
			ok = ok && whole.Validate(d) == nil
		}
		if ok {
			t.Errorf("%s is valid by the schema", c)
		}
	}
	if Of("Deployment") != nil {
		t.Error("a schema of another group's kind")
	}
}
