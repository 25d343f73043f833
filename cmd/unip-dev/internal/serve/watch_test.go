package serve

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/unip-knative/unip/cmd/internal/dev"
)

// The module is read anew when a file of it changes, and not for what lies beside the manifests: what unip
// dev writes there itself would have it read the module for ever.
func TestOnlyManifestsAreWatched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWatch(&dev.Options{Config: filepath.Join(dir, "unip.conf")}, t.TempDir())
	w.options.Names, w.options.Recursive = []string{dir, "-", filepath.Join(dir, "missing")}, true
	put := func(name, content string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what, name string) {
		t.Helper()
		if name != "" {
			name = filepath.Join(dir, name)
		}
		if got, _ := w.changed(); got != name {
			t.Errorf("%s: %q, want %q", what, got, name)
		}
	}
	put("module.yaml", "1")
	want("the first look", "")
	put("dev.log", "a line")
	put(".unip/storage/keys.json", "{}")
	want("what is no manifest", "")
	put("module.yaml", "12")
	want("another content", "module.yaml")
	put("boxes/more.json", "{}")
	want("a new file below", "boxes/more.json")
	put("unip.conf", "1")
	want("the configuration", "unip.conf")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "out.yaml")); err != nil {
		t.Fatal(err)
	}
	want("a link that is refused", "out.yaml")
	if err := os.Remove(filepath.Join(dir, "out.yaml")); err != nil {
		t.Fatal(err)
	}
	want("a file that is gone", "out.yaml")
}
