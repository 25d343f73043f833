package devserver_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unip-knative/unip/cmd/internal/devserver"
)

// Where a folder can be made at its path, it lies there until the end; what lies there already stays.
func TestMountsLieAtTheirPaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all := devserver.Mounts{
		{Path: filepath.Join(dir, "out"), Local: filepath.Join(dir, "boxes", "b"), Shown: "boxes/b", Write: true},
		{Path: taken, Local: filepath.Join(dir, "boxes", "c"), Shown: "boxes/c"},
	}
	var said bytes.Buffer
	undo, err := all.Place(false, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "out", "f"), []byte("x"), 0o600); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "boxes", "b", "f")); err != nil || string(b) != "x" {
		t.Errorf("%q %v", b, err)
	}
	if s := said.String(); !strings.Contains(s, "in place of the folder "+taken+": boxes/c; it is not there yet; that path cannot be made here") ||
		strings.Count(s, "level=WARN") != 1 {
		t.Error(s)
	}
	undo()
	if _, err := os.Lstat(filepath.Join(dir, "out")); !os.IsNotExist(err) {
		t.Errorf("the link is left: %v", err)
	}
	if undo, err = all.Place(true, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	undo()
	if _, err := os.Lstat(filepath.Join(dir, "boxes", "b", "f")); err != nil {
		t.Error(err)
	}
}

func TestEnvironmentLeadsToMounts(t *testing.T) {
	t.Parallel()
	all := devserver.Mounts{{Path: "/tables", Local: "/home/ann/boxes/data"}}
	for value, want := range map[string]string{
		"/tables": "/home/ann/boxes/data", "/tables/": "/home/ann/boxes/data/",
		"/tables/a/b": "/home/ann/boxes/data/a/b",
		"/tables/a/":  "/home/ann/boxes/data/a/", "/tablesx": "/tablesx", "x/tables": "x/tables", "": "",
	} {
		if got := all.Value(value); got != want {
			t.Errorf("%q leads to %q, want %q", value, got, want)
		}
	}
}
