package live

import (
	"os"
	"strings"
	"testing"
)

// What is long is told by the path of a file.
func TestKeep(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	const text = "pod a\n  its log\n"
	first, err := keep("pu-e2e-pa-x", text)
	if err != nil {
		t.Fatal(err)
	}
	second, err := keep("pu-e2e-pa-x", "another time")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(first)
	if err != nil || string(b) != text || first == second || !strings.Contains(first, "pu-e2e-pa-x") {
		t.Errorf("%s: %q, %v; the next one is %s", first, b, err, second)
	}
}
