package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/e2e/page"
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
func wholeModules(t *testing.T, file string) (modules []string) {
	t.Helper()
	first := regexp.MustCompile(`^(#.*\n)*apiVersion: "?unified-platform\.cs\.hse\.ru/`)
	for _, b := range page.Blocks(t, file) {
		if b.Language == "yaml" && first.MatchString(b.Text) {
			modules = append(modules, b.Text)
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

// What pages name is there: tests, targets of make, settings of unip.yaml, metrics, variables of the
// environment, and files.
func TestNamesOnPages(t *testing.T) {
	t.Parallel()
	var sources strings.Builder
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "fuzz") {
			return filepath.SkipDir
		}
		if !slices.Contains([]string{".go", ".py", ".yaml"}, filepath.Ext(path)) && d.Name() != "Makefile" {
			return nil
		}
		b, err := os.ReadFile(path)
		sources.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	source := sources.String()
	// What is named, and the form in which sources have it.
	forms := []struct{ name, form *regexp.Regexp }{
		{regexp.MustCompile(`\bTest\w+`), regexp.MustCompile(`func (Test\w+)\(`)},
		{regexp.MustCompile(`\bmake ([a-z][\w-]+)`), regexp.MustCompile(`(?m)^([\w-]+):`)},
		{regexp.MustCompile(`\bunip_\w+[a-z]\b`), regexp.MustCompile(`\b(unip_\w+)`)},
		{regexp.MustCompile(`\bUNIP_[A-Z][A-Z_]*[A-Z]\b`), regexp.MustCompile(`\b(UNIP_\w+)`)},
		{ // a key, which no ending of a file is
			regexp.MustCompile(`^(?:s3|oidc|networkPolicies|gateway|limits|storage|mounts|runs|uploads|tracing)\.([a-z]\w{3,})$`),
			regexp.MustCompile(`yaml:"(\w+)"`),
		},
	}
	there := make([]map[string]bool, len(forms))
	for i, f := range forms {
		there[i] = map[string]bool{}
		for _, m := range f.form.FindAllStringSubmatch(source, -1) {
			there[i][m[1]] = true
		}
	}
	code := regexp.MustCompile("`([^`\n]+)`")
	file := regexp.MustCompile(`^(?:cmd|config|docs|e2e|eventing|examples|functions|translate)/[\w./-]+$`)
	for _, page := range pages(t) {
		b, err := os.ReadFile(filepath.Join("../..", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, span := range code.FindAllStringSubmatch(string(b), -1) {
			text := span[1]
			for i, f := range forms {
				for _, m := range f.name.FindAllStringSubmatch(text, -1) {
					name := m[len(m)-1]
					begins := strings.Contains(text, name+"…") || strings.HasSuffix(name, "_…")
					known := there[i][name]
					for other := range there[i] {
						known = known || begins && strings.HasPrefix(other, name)
					}
					if !known {
						t.Errorf("%s: there is no %s", page, name)
					}
				}
			}
			if !file.MatchString(text) || page == "CONTRIBUTING.md" || strings.Contains(text, "…") {
				continue
			}
			here, top := filepath.Join("../..", filepath.Dir(page), text), filepath.Join("../..", text)
			if _, err := os.Stat(here); err != nil {
				if _, err := os.Stat(top); err != nil {
					t.Errorf("%s: there is no %s", page, text)
				}
			}
		}
	}
}
