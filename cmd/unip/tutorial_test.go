package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/e2e/freeport"
)

// block is a fenced block of a Markdown text.
type block struct{ language, text string }

func blocks(t *testing.T, file string) (all []block) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../..", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(b), -1) {
		all = append(all, block{m[1], m[2]})
	}
	return all
}

// The commands of a page, one after the other in one shell, print what stands below them. "…" there
// stands for lines that do not matter.
func TestTutorial(t *testing.T) {
	t.Parallel()
	runPage(t, "docs/tutorial.md", t.TempDir())
}

// The three sorts of module work together, as their page says: its stages and its function run here.
func TestModulesOfTheExamples(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "examples"), os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	runPage(t, "docs/modules.md", dir)
}

func runPage(t *testing.T, page, dir string) {
	t.Helper()
	const separator = "(end of the block)\n"
	var script strings.Builder
	var want []string
	all := blocks(t, page)
	for i, b := range all {
		if b.language != "sh" {
			continue
		}
		script.WriteString(b.text + "echo '" + strings.TrimSpace(separator) + "'\n")
		want = append(want, "")
		if i+1 < len(all) && all[i+1].language == "text" {
			want[len(want)-1] = all[i+1].text
		}
	}
	port := strconv.Itoa(freeport.Find(t))
	c := exec.CommandContext(t.Context(), "bash", "-e", "-c", strings.ReplaceAll(script.String(), "8080", port))
	c.Dir = dir
	c.WaitDelay = time.Second // what runs in the background when a command fails has the output open
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.Cleanup(func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }) // what a block that failed has left
	c.Env = append(os.Environ(), "HOME="+c.Dir)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := strings.SplitAfter(strings.ReplaceAll(string(out), port, "8080"), separator)
	if len(got) != len(want)+1 {
		t.Fatalf("%d blocks of output for %d of commands:\n%s", len(got)-1, len(want), out)
	}
	for i, w := range want {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(w), "…\n", "(?:.*\n)*")
		if text := strings.TrimSuffix(got[i], separator); !regexp.MustCompile("^" + pattern + "$").MatchString(text) {
			t.Errorf("%s says\n%s\nbut it is\n%s", page, w, text)
		}
	}
}

// What is there in Russian has the same commands as the English text.
func TestRussianTextsHaveTheSameCommands(t *testing.T) {
	t.Parallel()
	for english, russian := range map[string]string{
		"README.md": "README.ru.md", "docs/tutorial.md": "docs/tutorial.ru.md",
	} {
		commands := func(file string) []block {
			return slices.DeleteFunc(blocks(t, file), func(b block) bool { return b.language == "mermaid" })
		}
		// Comments behind commands are prose.
		prose := cmp.Transformer("commands", func(b block) string {
			return b.language + "\n" + regexp.MustCompile(`(?m)\s+# .*$`).ReplaceAllString(b.text, "")
		})
		if d := cmp.Diff(commands(english), commands(russian), prose); d != "" {
			t.Errorf("%s and %s differ (-%s +%s)\n%s", english, russian, english, russian, d)
		}
	}
}
