package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var block = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// What docs/inference.md shows is so: its function, its calls by curl, and the answers that follow
// them.
func TestDocumentedCalls(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/inference.md")
	if err != nil {
		t.Fatal(err)
	}
	_, protocol, _ := strings.Cut(string(page), "## Open Inference Protocol\n")
	blocks := block.FindAllStringSubmatch(protocol, -1)
	if len(blocks) < 5 || blocks[0][1] != "python" {
		t.Fatalf("%d blocks", len(blocks))
	}
	c := start(t, blocks[0][2], "scale", func(o *setup) { o.component = "scale" }).awaitReady()
	calls := 0
	for i, b := range blocks {
		if b[1] != "sh" {
			continue
		}
		calls++
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", b[2])
		cmd.Dir, cmd.Env, cmd.Stderr = t.TempDir(), append(os.Environ(), "URL="+c.url), os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", b[2], err)
		}
		got, want := strings.TrimSpace(string(out)), strings.TrimSpace(blocks[i+1][2])
		if same := got == want; !same && (blocks[i+1][1] != "json" || !sameJSON(t, got, want)) {
			t.Errorf("%s\n%s\nwant\n%s", b[2], got, want)
		}
	}
	if calls != 2 {
		t.Errorf("%d calls", calls)
	}
	status, _, body := c.get("GET", "/v2/models/scale")
	if status != 200 {
		t.Errorf("%d %s", status, body)
	}
}
