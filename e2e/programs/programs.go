// Package programs finds the programs of others that tests start: what `cluster bin` builds.
package programs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Find is the path of a module's program: what the environment's variable says, else what `cluster bin`
// of the checkout builds.
func Find(t testing.TB, variable, module string) string {
	t.Helper()
	if p := os.Getenv(variable); p != "" {
		return p
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "e2e", "cluster", module)); err != nil {
			continue
		}
		cmd := exec.Command("go", "run", ".", "bin", module)
		cmd.Dir = filepath.Join(dir, "e2e", "cluster")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("building %s: %v", module, err)
		}
		return filepath.Join(strings.TrimSpace(string(out)), module)
	}
	t.Fatalf("%s must name the program %s: run the tests by make", variable, module)
	return ""
}
