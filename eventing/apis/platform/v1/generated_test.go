package v1_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/quantity"
)

// What is generated from these types is checked in; this is what `go generate` would make of them
// now.
func TestGeneratedFilesAreFresh(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs controller-gen")
	}
	generate := func(args ...string) []byte {
		t.Helper()
		cmd := exec.Command("go", append([]string{"tool", "-modfile=../../../../.ci/tools/go.mod", "controller-gen"},
			args...)...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("controller-gen %v: %v\n%s", args, err, errs.Bytes())
		}
		return quantity.Bound(out.Bytes())
	}
	for file, fresh := range map[string][]byte{
		"zz_generated.deepcopy.go":            generate("object", "paths=.", "output:stdout"),
		"../../../../config/200-databox.yaml": generate("crd:maxDescLen=400", "paths=.", "output:stdout"),
	} {
		checkedIn, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(checkedIn), string(fresh)); d != "" {
			t.Errorf("%s is stale: run `make generate` (-checked in +fresh):\n%s", filepath.Base(file), d)
		}
	}
}
