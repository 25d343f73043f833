package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/e2e/page"
)

// The commands of a page, one after the other in one shell, print what stands below them. "…" there
// stands for lines that do not matter.
func TestTutorial(t *testing.T) {
	t.Parallel()
	page.Run(t, "docs/tutorial.md", t.TempDir())
}

// The three sorts of module work together, as their page says: its stages and its function run here.
func TestModulesOfTheExamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	page.Run(t, "docs/modules.md", dir)
}

// What is there in Russian has the same commands as the English text.
func TestRussianTextsHaveTheSameCommands(t *testing.T) {
	t.Parallel()
	for english, russian := range map[string]string{
		"README.md": "README.ru.md", "docs/tutorial.md": "docs/tutorial.ru.md",
	} {
		commands := func(file string) []page.Block {
			return slices.DeleteFunc(page.Blocks(t, file), func(b page.Block) bool { return b.Language == "mermaid" })
		}
		// Comments behind commands are prose.
		prose := cmp.Transformer("commands", func(b page.Block) string {
			return b.Language + "\n" + regexp.MustCompile(`(?m)\s+# .*$`).ReplaceAllString(b.Text, "")
		})
		if d := cmp.Diff(commands(english), commands(russian), prose); d != "" {
			t.Errorf("%s and %s differ (-%s +%s)\n%s", english, russian, english, russian, d)
		}
	}
}
