package translate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/yaml"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"

	"github.com/unip-knative/unip/translate"
	"github.com/unip-knative/unip/translate/encode"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
	"github.com/unip-knative/unip/translate/resources"
)

var update = flag.Bool("update", false, "write testdata/*/out.yaml and err.txt")

// options are fixed, so that a golden file changes only when the translation does: not with
// worker.py.
func options() translate.Options {
	return translate.Options{
		Config: installation.Default(),
		Images: resources.Images{Inference: "ko://example.org/inference", Gateway: "ko://example.org/gateway"},
		Worker: map[string][]byte{"worker.py": []byte("# worker.py stands here\n")},
	}
}

// cases are the folders of testdata: in.yaml or in.json, and out.yaml (what is written), err.txt (what is
// said) or both. unip.yaml is the installation's; lenient and allow-foreign are empty files that
// stand for the flags.
func cases(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/*/in.*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no golden cases: %v", err)
	}
	for i, d := range dirs {
		dirs[i] = filepath.Dir(d)
	}
	return dirs
}

func read(t *testing.T, dir string) (manifest.File, translate.Options) {
	t.Helper()
	name := "in.yaml"
	in, err := os.ReadFile(filepath.Join(dir, name))
	if os.IsNotExist(err) {
		name = "in.json"
		in, err = os.ReadFile(filepath.Join(dir, name))
	}
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	if b, err := os.ReadFile(filepath.Join(dir, "unip.yaml")); err == nil {
		if o.Config, err = installation.Parse(b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "lenient")); err == nil {
		o.Lenient = true
	}
	if _, err := os.Stat(filepath.Join(dir, "allow-foreign")); err == nil {
		o.AllowForeign = true
	}
	return manifest.File{Name: name, Data: in}, o
}

// run translates, and gives what goes to stdout and to stderr.
func run(t *testing.T, o translate.Options, files ...manifest.File) (out, said string) {
	t.Helper()
	objects, found := translate.Translate(files, o)
	var b strings.Builder
	for _, d := range found {
		fmt.Fprintln(&b, d)
	}
	if found.Failed() {
		if objects != nil {
			t.Error("objects in spite of an error")
		}
		return "", b.String()
	}
	y, err := encode.YAML(objects)
	if err != nil {
		t.Fatal(err)
	}
	return string(y), b.String()
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, dir := range cases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			in, o := read(t, dir)
			out, said := run(t, o, in)
			golden(t, filepath.Join(dir, "out.yaml"), out)
			golden(t, filepath.Join(dir, "err.txt"), said)
		})
	}
}

// golden compares with a file; one that is not there is an empty one.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		err := os.Remove(file)
		if got != "" {
			err = os.WriteFile(file, []byte(got), 0o644)
		}
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", file, diff)
	}
}

// Structs are written to YAML as they are, and to JSON by way of Kubernetes' converter: both are
// the same objects.
func TestJSONIsYAML(t *testing.T) {
	t.Parallel()
	for _, dir := range cases(t) {
		in, o := read(t, dir)
		objects, _ := translate.Translate([]manifest.File{in}, o)
		var y, j bytes.Buffer
		if err := errors.Join(encode.WriteYAML(&y, objects), encode.WriteJSON(&j, objects)); err != nil {
			t.Errorf("%s: %v", dir, err)
			continue
		}
		items := []any{}
		for d := yaml.NewYAMLToJSONDecoder(&y); ; {
			var item any
			if err := d.Decode(&item); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", dir, err)
			}
			items = append(items, item)
		}
		var list struct{ Items []any }
		if err := json.Unmarshal(j.Bytes(), &list); err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
		if diff := cmp.Diff(list.Items, items); diff != "" && len(objects) > 0 {
			t.Errorf("%s (-JSON +YAML):\n%s", dir, diff)
		}
	}
}

func TestTwiceTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, dir := range cases(t) {
		in, o := read(t, dir)
		out, said := run(t, o, in)
		again, saidAgain := run(t, o, in)
		if out != again || said != saidAgain {
			t.Errorf("%s: two translations differ:\n%s%s", dir, cmp.Diff(out, again), cmp.Diff(said, saidAgain))
		}
	}
}

// Neither the order of the documents nor how they are spread over files matters.
func TestDocumentOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	tried := 0
	for _, dir := range cases(t) {
		in, o := read(t, dir)
		want, _ := run(t, o, in)
		documents := bytes.Split(in.Data, []byte("\n---\n"))
		if want == "" || len(documents) < 2 {
			continue
		}
		for range 5 {
			tried++
			r.Shuffle(len(documents), func(i, j int) { documents[i], documents[j] = documents[j], documents[i] })
			cut := 1 + r.IntN(len(documents)-1)
			got, said := run(t, o,
				manifest.File{Name: "b.yaml", Data: bytes.Join(documents[:cut], []byte("\n---\n"))},
				manifest.File{Name: "a.yaml", Data: bytes.Join(documents[cut:], []byte("\n---\n"))})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: other documents first (-want +got):\n%s\n%s", dir, diff, said)
			}
		}
	}
	if tried == 0 {
		t.Error("no golden case has several documents")
	}
}

// JSON is YAML, and a byte order mark or Windows line ends change nothing.
func TestEncodingsOfTheSameManifests(t *testing.T) {
	t.Parallel()
	in, o := read(t, "testdata/digits")
	want, _ := run(t, o, in)
	for name, data := range map[string][]byte{
		"byte order mark": append([]byte("\ufeff"), in.Data...),
		"CRLF":            bytes.ReplaceAll(in.Data, []byte("\n"), []byte("\r\n")),
		"end markers": append(bytes.ReplaceAll(in.Data, []byte("\n---\n"), []byte("\n...\n---\n")),
			"...\n---\n# nothing\n"...),
	} {
		got, said := run(t, o, manifest.File{Name: "in.yaml", Data: data})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", name, diff, said)
		}
	}
}

func TestNoNamespace(t *testing.T) {
	t.Parallel()
	in, o := read(t, "testdata/digits")
	with, _ := run(t, o, in)
	o.NoNamespace = true
	without, _ := run(t, o, in)
	_, rest, _ := strings.Cut(with, "---\n")
	if diff := cmp.Diff(rest, without); diff != "" {
		t.Errorf("more than the Namespace differs (-with +without):\n%s", diff)
	}
}

// Who runs a component elsewhere gets what the cluster gets; of manifests with errors, nothing.
func TestComponentsAreThoseOfTheCluster(t *testing.T) {
	t.Parallel()
	for _, dir := range cases(t) {
		in, o := read(t, dir)
		objects, found := translate.Translate([]manifest.File{in}, o)
		m, foundHere := translate.Decide([]manifest.File{in}, o)
		if foundHere.Failed() != (m == nil) || (foundHere.Failed() && !found.Failed()) {
			t.Errorf("%s: %v, %v", dir, foundHere, m)
		}
		for _, object := range objects {
			s, ok := object.(*servingv1.Service)
			if !ok || s.Name == "gateway" {
				continue
			}
			i := slices.IndexFunc(m.Components, func(c module.Component) bool { return c.Name == s.Name })
			if i < 0 {
				t.Errorf("%s: no component %s", dir, s.Name)
				continue
			}
			c := m.Components[i]
			server, function := s.Spec.Template.Spec.Containers[0].Args, s.Spec.Template.Spec.Containers[1].Args
			want := []string{
				fmt.Sprintf("--port=%d", c.Port), fmt.Sprintf("--timeout=%ds", c.TimeoutSeconds),
				fmt.Sprintf("--workers=%d", c.Workers),
				"--inference=" + resources.Literal(c.Inference),
			}
			if c.Model != nil {
				want = append(want, "--model-object="+resources.Literal(c.Model.Object))
			}
			for _, arg := range want {
				if !slices.Contains(append(server, function...), arg) {
					t.Errorf("%s: %s is not among the arguments of %s", dir, arg, s.Name)
				}
			}
		}
	}
}
