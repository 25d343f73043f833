package main

import (
	"os"
	"path/filepath"
	"testing"
)

// inFile tells where it was found.
const inFile = `
import sys, helper
FIRST = sys.path[0]
class Reader:
    @staticmethod
    def f():
        return [{"name": "first", "data": FIRST}, {"name": "helper", "data": helper.NAME}]
f = Reader.f
`

// A function may lie in a file of the container, which need not be a module: its folder is first on
// sys.path, before the working folder, so that it finds what lies beside it.
func TestFunctionInAFile(t *testing.T) {
	t.Parallel()
	for place, x := range map[string]struct{ file, folder string }{
		"/code/serve.py:f": {"code/serve.py", "code"},
		// no name of a package, and a name of one of Python's own
		"/code/2026-11/json.py:f":     {"code/2026-11/json.py", "code/2026-11"},
		"serve.py:Reader.f":           {"app/serve.py", "app"},
		"deep/er/serve.py:f":          {"app/deep/er/serve.py", "app/deep/er"},
		"/code/with blank/serve.py:f": {"code/with blank/serve.py", "code/with blank"},
	} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			var dir string
			c := start(t, "", "f", func(o *setup) {
				dir = filepath.Dir(o.socket)
				o.inference = place
				if place[0] == '/' {
					o.inference = dir + place
				}
				for name, source := range map[string]string{
					x.file: inFile, x.folder + "/helper.py": `NAME = "beside"`, "app/helper.py": `NAME = "beside"`,
				} {
					if name == "app/helper.py" && x.folder != "app" {
						source = `NAME = "the working folder's"`
					}
					file := filepath.Join(dir, name)
					if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}).awaitReady()
			a := c.predict(200, "{}")
			first := filepath.Join(dir, x.folder)
			if len(a.Outputs) != 2 || a.Outputs[0].Data != first || a.Outputs[1].Data != "beside" {
				t.Errorf("%s", a.body)
			}
		})
	}
}

// A file that is not there ends the container with the reason.
func TestFunctionInNoFile(t *testing.T) {
	t.Parallel()
	start(t, "", "f", func(o *setup) { o.inference = "/nowhere/serve.py:f" }).wantEnd(
		"importing /nowhere/serve.py:f: FileNotFoundError")
}
