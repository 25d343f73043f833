//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/unip-knative/unip/e2e/stories"
)

// What users do with a module is answered as by `unip dev`: cmd/unip-dev has the same stories and
// answers.
func TestStories(t *testing.T) {
	t.Parallel()
	m := cleared(t, stories.Namespace)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "module.yaml"), []byte(stories.Manifests()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, m)
	host, err := m.Host(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stories.Run(t, stories.World{URL: m.Ingress + "/" + m.Namespace, Host: host}, false)
}
