package translate_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/unip-knative/unip/translate"
	"github.com/unip-knative/unip/translate/manifest"
)

// FuzzTranslate gives the translation any text, of which what is right is looked at further: nothing
// panics, and there are objects or errors, never both.
func FuzzTranslate(f *testing.F) {
	files, err := filepath.Glob("testdata/*/in.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, allow := range []bool{false, true} {
			o := options()
			o.AllowForeign = allow
			objects, found := translate.Translate([]manifest.File{{Name: "in.yaml", Data: text}}, o)
			if (objects == nil) != found.Failed() {
				t.Errorf("%d objects with %v", len(objects), found)
			}
		}
	})
}
