package engine

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// A file's name, which is its uploader's, is nothing but a path of a mount: it adds no option, which
// could name another file of this machine.
func TestNamesOfFilesAreNoOptions(t *testing.T) {
	t.Parallel()
	e := &Engine{Options: Options{Dir: "/dev", Containers: "podman"}}
	dir := "/dev/attempts/fit-1"
	for name, want := range map[string]string{
		"t.csv":             "--mount type=bind,src=/dev/attempts/fit-1/data/table/t.csv,dst=/tables/t.csv",
		"t,src=/etc/passwd": "--volume /dev/attempts/fit-1/data/table/passwd:/tables/t,src=/etc/passwd",
		`a "t".csv`:         `--volume /dev/attempts/fit-1/data/table/a "t".csv:/tables/a "t".csv`,
	} {
		st := &runtimev1.StageStatus{Name: "fit", Inputs: []runtimev1.ResolvedInput{{Name: "table",
			Key: "users/ann/" + name, Path: filepath.Join("/tables", name), Mount: "/tables"}}}
		c := e.containerOf(st, dir, environment{})
		if all := strings.Join(c.args, " "); !strings.Contains(all, want) {
			t.Errorf("%s: %q", name, all)
		}
		for _, mount := range c.args[slices.Index(c.args, "--mount"):] {
			if strings.Count(mount, ",src=") > 1 {
				t.Errorf("%s: %q", name, mount)
			}
		}
	}
}
