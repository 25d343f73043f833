// Package page runs the commands of documents.
package page

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unip-knative/unip/e2e/freeport"
)

// Block is a fenced block of a Markdown text.
type Block struct{ Language, Text string }

// Blocks are those of a document, by its path from the repository's root; the test's package is two
// folders below that.
func Blocks(t *testing.T, file string) (all []Block) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../..", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(b), -1) {
		all = append(all, Block{m[1], m[2]})
	}
	return all
}

// waiting is said where something takes longer than usual.
var waiting = regexp.MustCompile(`(?m)^waiting for .* …\n`)

// Run runs the commands of a page in a folder, one after the other in one shell, with more in the
// environment. They must print what stands below them. "…" there stands for lines that do not matter,
// and 8080 in the page for a port that is free.
func Run(t *testing.T, page, dir string, env ...string) {
	t.Helper()
	const separator = "(end of the block)\n"
	var script strings.Builder
	var want []string
	all := Blocks(t, page)
	for i, b := range all {
		if b.Language != "sh" {
			continue
		}
		script.WriteString(b.Text + "echo '" + strings.TrimSpace(separator) + "'\n")
		want = append(want, "")
		if i+1 < len(all) && all[i+1].Language == "text" {
			want[len(want)-1] = all[i+1].Text
		}
	}
	port := strconv.Itoa(freeport.Find(t))
	c := exec.CommandContext(t.Context(), "bash", "-e", "-c", strings.ReplaceAll(script.String(), "8080", port))
	c.Dir = dir
	c.WaitDelay = time.Second // what runs in the background when a command fails has the output open
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.Cleanup(func() {
		if c.Process != nil { // without bash there is none
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // what a block that failed has left
		}
	})
	c.Env = append(append(os.Environ(), "HOME="+c.Dir), env...)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := waiting.ReplaceAllString(strings.ReplaceAll(string(out), port, "8080"), "")
	got := strings.SplitAfter(text, separator)
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
