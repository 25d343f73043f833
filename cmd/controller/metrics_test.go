package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The documents name the controller's metrics as they are, and all of them.
func TestDocumentedMetrics(t *testing.T) {
	t.Parallel()
	const root = "../.."
	in := func(folder, suffix, pattern string) map[string]bool {
		found := map[string]bool{}
		names := regexp.MustCompile(pattern)
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			for _, m := range names.FindAllStringSubmatch(string(b), -1) {
				found[m[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	const inCode, inDocs = `"(unip_\w+)"`, "`(unip_[a-z_]+)[`{]"
	controllers := in("cmd/controller", ".go", inCode)
	known := []map[string]bool{controllers, in("functions", ".go", inCode)}
	for name := range in("docs", ".md", inDocs) {
		if !slices.ContainsFunc(known, func(all map[string]bool) bool { return all[name] }) {
			t.Errorf("the documents name %s, which there is not", name)
		}
	}
	told := in("docs/troubleshooting.md", ".md", inDocs)
	for name := range controllers {
		if !told[name] {
			t.Errorf("docs/troubleshooting.md does not name %s", name)
		}
	}
	if len(controllers) < 10 {
		t.Errorf("only %v were found", controllers)
	}
}
