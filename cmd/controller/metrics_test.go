package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// namesIn are the names that a pattern finds in a folder's files.
func namesIn(t *testing.T, folder, suffix, pattern string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	names := regexp.MustCompile(pattern)
	err := filepath.WalkDir(filepath.Join("../..", folder), func(path string, d fs.DirEntry, err error) error {
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

// metricsInCode are those that unip's programs have, by their names in the code.
func metricsInCode(t *testing.T) map[string]bool {
	t.Helper()
	all := namesIn(t, "cmd/controller", ".go", `"(unip_\w+)"`)
	maps.Copy(all, namesIn(t, "functions", ".go", `"((?:unip|http)_\w+)"`))
	return all
}

// The documents name the controller's metrics as they are, and all of them.
func TestDocumentedMetrics(t *testing.T) {
	t.Parallel()
	const inCode, inDocs = `"(unip_\w+)"`, "`(unip_[a-z_]+)[`{]"
	controllers := namesIn(t, "cmd/controller", ".go", inCode)
	known := []map[string]bool{controllers, namesIn(t, "functions", ".go", inCode)}
	for name := range namesIn(t, "docs", ".md", inDocs) {
		if !slices.ContainsFunc(known, func(all map[string]bool) bool { return all[name] }) {
			t.Errorf("the documents name %s, which there is not", name)
		}
	}
	told := namesIn(t, "docs/troubleshooting.md", ".md", inDocs)
	for name := range controllers {
		if !told[name] {
			t.Errorf("docs/troubleshooting.md does not name %s", name)
		}
	}
	if len(controllers) < 10 {
		t.Errorf("only %v were found", controllers)
	}
}
