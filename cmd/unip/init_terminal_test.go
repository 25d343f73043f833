package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// At a terminal init asks, again where an answer cannot be, and an empty one is the usual.
func TestInitAtATerminal(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "topics")
	x := openTerminal(t, 100, 30, "init", dir)
	for _, step := range []struct{ question, answer string }{
		{"name of the module [topics]: ", "Bad \x1b[2JName"},
		{`"Bad \x1b[2JName": up to 20 small letters, digits and -, a letter first` + "\r\nname of the module [topics]: ", ""},
		{"your name on the platform [", "ann"},
		{"registry of the image [registry.localhost:5000]: ", "registry.example/ann"},
	} {
		x.until(t, step.question)
		if _, err := x.WriteString(step.answer + "\n"); err != nil {
			t.Fatal(err)
		}
	}
	if code, rest := x.exit(t); code != 0 || !strings.Contains(rest, "unip dev -f manifests/ --reload") {
		t.Fatalf("exit code %d: %q", code, rest)
	}
	b, err := os.ReadFile(filepath.Join(dir, "manifests", "component.yaml"))
	if err != nil || !strings.Contains(string(b), "namespace: pu-ann-pa-topics\n") ||
		!strings.Contains(string(b), "existingImageName: registry.example/ann/topics:v1\n") {
		t.Errorf("%v: %s", err, b)
	}
}

// Whoever ends the questions, by Ctrl-D or Ctrl-C, gets no files.
func TestInitThatIsEnded(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		key  string
		code int
	}{"Ctrl-D": {"\x04", 3}, "Ctrl-C": {"\x03", 130}} {
		dir := filepath.Join(t.TempDir(), "topics")
		at := openTerminal(t, 100, 30, "init", dir)
		at.until(t, "name of the module [topics]: ")
		if _, err := at.WriteString("\n"); err != nil {
			t.Fatal(err)
		}
		at.until(t, "your name on the platform [")
		if _, err := at.WriteString(x.key); err != nil {
			t.Fatal(err)
		}
		code, rest := at.exit(t)
		if _, err := os.Stat(dir); code != x.code || err == nil {
			t.Errorf("%s: exit code %d, %q; the folder: %v", name, code, rest, err)
		}
	}
}
