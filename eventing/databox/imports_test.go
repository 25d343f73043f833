package databox_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Whoever only needs the words of a box (a translation, the command line) gets no S3 client with
// them.
func TestNoS3ClientIsImported(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		if strings.Contains(path, "minio") || strings.Contains(path, "/translate") || path == "net/http" {
			t.Errorf("databox imports %s", path)
		}
	}
}
