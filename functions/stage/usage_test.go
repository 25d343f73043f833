package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The Job says where the volume and the sessions are; nothing else knows.
func TestFoldersAreNeeded(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"fetch --sessions=/s":  "--data is needed",
		"publish --data=/d":    "--sessions is needed",
		"fetch --data=/d more": "unexpected argument",
	} {
		message := filepath.Join(t.TempDir(), "message")
		command, rest, _ := strings.Cut(args, " ")
		code := run(t.Context(), append([]string{command, "--termination-log=" + message}, strings.Fields(rest)...))
		b, err := os.ReadFile(message)
		if err != nil {
			t.Fatal(err)
		}
		if code != exitUsage || !strings.Contains(string(b), want) {
			t.Errorf("%s: code %d, %s", args, code, b)
		}
	}
}
