package translate_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/unip-knative/unip/translate/manifest"
)

// The modules of examples/ translate without a word, to what stands in testdata/examples.
func TestExamples(t *testing.T) {
	t.Parallel()
	modules, err := filepath.Glob("../examples/*/manifests")
	if err != nil || len(modules) < 4 {
		t.Fatalf("%d examples: %v", len(modules), err)
	}
	for _, dir := range modules {
		name := filepath.Base(filepath.Dir(dir))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			var all []manifest.File
			for _, file := range files {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, manifest.File{Name: filepath.Base(file), Data: data})
			}
			out, said := run(t, options(), all...)
			golden(t, filepath.Join("testdata/examples", name+".yaml"), out)
			golden(t, filepath.Join("testdata/examples", name+".txt"), said)
		})
	}
}
