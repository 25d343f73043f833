package graph_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/translate/graph"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
)

var update = flag.Bool("update", false, "write testdata/*.mermaid and *.dot")

// Each module of testdata is drawn in both languages; overview is the figure of the platform's own
// overview.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no modules: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		read, found := manifest.Read([]manifest.File{{Name: file, Data: b}})
		m, found := module.Decide(read, found, installation.Default(), module.Options{})
		if m == nil {
			t.Fatal(found)
		}
		g := graph.Of(m)
		for extension, got := range map[string]string{".mermaid": g.Mermaid(), ".dot": g.DOT()} {
			name := file[:len(file)-len(".yaml")] + extension
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got; -update writes it):\n%s", name, diff)
			}
		}
	}
}
