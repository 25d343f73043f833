//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An author brings a model by `unip files put`, with a kubeconfig alone, and then a better one: the
// component that runs takes it up as a retrained one.
func TestAuthorPutsAModel(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-put", component{Image: echoImage, Inference: "echo:model_text", Model: "model.txt"})
	awaitReady(t, m)
	file := filepath.Join(t.TempDir(), "weights.txt")
	put := func(code int, text string, more ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		unip(t, m, code, append([]string{"files", "put", file, "weights:/model.txt", "-n", m.Namespace}, more...)...)
	}
	put(0, "the first weights")
	wantText(t, m, "the first weights", 30*time.Second)
	put(1, "not without a word")
	put(0, "better weights", "--overwrite")
	wantText(t, m, "better weights", 90*time.Second)
}
