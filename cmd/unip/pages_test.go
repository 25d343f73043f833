package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/translate"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/resources"
)

// pages are the documents of the repository.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "config/*.md", "examples/*/*.md", "e2e/*/*.md"} {
		found, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range found {
			name, err := filepath.Rel("../..", f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, name)
		}
	}
	return all
}

// wholeModules are the blocks of a page that begin with an object of the platform: a reader copies
// them as they are. Blocks that begin otherwise are pieces of a manifest.
func wholeModules(t *testing.T, page string) (modules []string) {
	t.Helper()
	first := regexp.MustCompile(`^(#.*\n)*apiVersion: "?unified-platform\.cs\.hse\.ru/`)
	for _, b := range blocks(t, page) {
		if b.language == "yaml" && first.MatchString(b.text) {
			modules = append(modules, b.text)
		}
	}
	return modules
}

// What a page shows as a module is one, of which unip has nothing to say. Each page about manifests
// shows one.
func TestModulesOnPages(t *testing.T) {
	t.Parallel()
	about := []string{
		"README.md", "README.ru.md", "docs/http.md", "docs/images.md", "docs/inference.md", "docs/kustomize.md",
		"docs/manifests.md", "docs/modules.md", "docs/pipelines.md",
	}
	for _, page := range pages(t) {
		modules := wholeModules(t, page)
		if len(modules) == 0 && slices.Contains(about, page) {
			t.Errorf("%s shows no whole module", page)
		}
		for i, text := range modules {
			options := translate.Options{
				Config: installation.Default(),
				Images: resources.Images{Inference: "example.org/inference", Gateway: "example.org/gateway"},
				Worker: map[string][]byte{"worker.py": nil},
			}
			_, found := translate.Translate([]manifest.File{{Name: page, Data: []byte(text)}}, options)
			for _, d := range found {
				t.Errorf("module %d of %s: %s", i+1, page, d)
			}
		}
	}
}

// The page of the three sorts shows the examples as they are.
func TestModulesPageShowsTheExamples(t *testing.T) {
	t.Parallel()
	var want []string
	for _, example := range []string{"herbarium", "drift", "leaves"} {
		files, err := filepath.Glob(filepath.Join("../../examples", example, "manifests/*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(b))
		}
		want = append(want, strings.Join(texts, "---\n"))
	}
	if d := cmp.Diff(want, wholeModules(t, "docs/modules.md")); d != "" {
		t.Errorf("examples and docs/modules.md (-want +got)\n%s", d)
	}
}

// Links between documents lead somewhere, to a heading too.
func TestLinksOfPages(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	target := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	other := regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
	read := func(file string) string {
		b, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(page), -1) {
			if strings.Contains(m[1], ":") {
				continue // an address of the web
			}
			to := page
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(page), m[1])
			}
			if _, err := os.Stat(filepath.Join("../..", to)); err != nil {
				t.Errorf("%s: %s is not there", page, m[1])
				continue
			}
			if m[2] == "" || filepath.Ext(to) != ".md" {
				continue
			}
			var anchors []string
			for _, h := range heading.FindAllStringSubmatch(read(to), -1) {
				text := strings.ToLower(target.ReplaceAllString(h[1], "$1"))
				anchors = append(anchors, "#"+strings.ReplaceAll(other.ReplaceAllString(text, ""), " ", "-"))
			}
			if !slices.Contains(anchors, m[2]) {
				t.Errorf("%s: %s has no heading for %s", page, to, m[2])
			}
		}
	}
}
