package devserver

import (
	"path/filepath"
	"testing"
)

func TestPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, f := range []string{"serve.py", "src/serve.py", "src/load.py"} {
		write(t, filepath.Join(dir, f), "")
	}
	for place, want := range map[string]string{
		"":                     "",
		"pkg.mod:f":            "pkg.mod:f",
		"serve.py:f":           "serve.py:f",
		"/app/serve.py:f":      "serve.py:f",
		"/app/src/serve.py:f":  "src/serve.py:f",
		"/app/src/load.py:A.f": "src/load.py:A.f",
		"/app/src/none.py:f":   "/app/src/none.py:f",
		"/src:f":               "/src:f",
	} {
		if got := Place(dir, place); got != want {
			t.Errorf("%s is %s, not %s", place, got, want)
		}
	}
}
