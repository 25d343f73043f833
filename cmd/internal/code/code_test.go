package code_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unip-knative/unip/cmd/internal/code"
	"github.com/unip-knative/unip/translate/module"
)

func TestImportsOfTheServerLibrary(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"import numpy\nimport unip_server\n":          "2:1: warning: unip_server looks like",
		"from unified_platform.serving import app\n":  "1:1: warning: unified_platform looks like",
		"def f():\n    import os, unip as u  # why\n": "2:1: warning: unip looks like",
		"from mlops_platform_sdk import serve\r\n":    "1:1: warning: mlops_platform_sdk looks like",
		"import unipath\nfrom uniplot import plot\n":  "",
		"# import unip_server\nx = 'import unip'\n":   "",
		"from .unip import helper\nimport app.unip\n": "",
	} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "leaves"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "leaves/serve.py"), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		places := []string{"leaves.serve:f", "leaves.serve.f", "leaves/serve.py:f", "/app/leaves/serve.py:f"}
		for _, place := range places {
			m := &module.Module{Components: []module.Component{{Inference: place, Loader: place}}}
			found, err := code.Check(dir, m)
			if err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			for _, d := range found {
				said.WriteString(d.String() + "\n")
			}
			if want == "" && said.Len() > 0 || strings.Count(said.String(), "\n") > 1 ||
				!strings.Contains(said.String(), want) {
				t.Errorf("%s of %q: %s", place, source, said.String())
			}
		}
	}
}

// A package's own file is looked at, and what is not there is said; a link out of the folder is not
// followed.
func TestWhereTheCodeIs(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "other.py")
	if err := os.MkdirAll(filepath.Join(dir, "leaves"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{filepath.Join(dir, "leaves/__init__.py"), elsewhere} {
		if err := os.WriteFile(f, []byte("import unip"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(elsewhere, filepath.Join(dir, "other.py")); err != nil {
		t.Fatal(err)
	}
	of := func(place string) *module.Module {
		return &module.Module{Components: []module.Component{{Name: "leaf", Inference: place}}}
	}
	if found, err := code.Check(dir, of("leaves:f")); err != nil || len(found) != 1 ||
		found[0].File != filepath.Join(dir, "leaves/__init__.py") {
		t.Errorf("%v, %v", found, err)
	}
	if found, err := code.Check(dir, of("nowhere:f")); err != nil || len(found) != 1 ||
		!strings.Contains(found[0].Message, "the file of nowhere:f cannot be looked at below "+dir) {
		t.Errorf("%v, %v", found, err)
	}
	if found, err := code.Check(dir, of("other:f")); err != nil || len(found) != 1 ||
		!strings.Contains(found[0].Message, "cannot be looked at") {
		t.Errorf("%v, %v", found, err)
	}
}
