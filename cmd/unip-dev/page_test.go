package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/unip-knative/unip/e2e/page"
)

// The commands of docs/dev.md print what stands below them.
func TestPage(t *testing.T) {
	t.Parallel()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs := t.TempDir()
	// the test is the program when it has its name
	if err := os.Symlink(own, filepath.Join(programs, "unip-dev")); err != nil {
		t.Fatal(err)
	}
	page.Run(t, "docs/dev.md", t.TempDir(),
		"PATH="+programs+string(os.PathListSeparator)+folder+string(os.PathListSeparator)+os.Getenv("PATH"))
}
