package engine

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// tree is what lies below a folder: the content of files, and where links lead.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			all[name], err = os.Readlink(path)
			all[name] = "-> " + all[name]
		case d.Type().IsRegular():
			b, e := os.ReadFile(path)
			all[name], err = string(b[:min(len(b), 100)]), e
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What a stage writes, changes or removes among its code is so for itself alone; also what Python writes
// beside what it compiles.
func TestAccidentsStayInTheAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pipe("train", line("fit: table -> model", `
		test $(./run.sh) = ran
		echo spoiled > data.csv; echo more >> pack/table.csv; rm pack/gone.txt; mv pack/part.py pack/moved.py; touch new
		python3 -c '
import pathlib, pack, sys
(pathlib.Path(pack.__file__).parent / "beside.txt").write_text("mine")
print(sys.path[1])' >> "$UNIP_PIPELINE_MODEL/m"
		ls pack >> "$UNIP_PIPELINE_MODEL/m"`)))
	for name, content := range map[string]string{
		"data.csv": "1,2\n", "pack/table.csv": "3,4\n", "pack/gone.txt": "x", "pack/__init__.py": "",
		"pack/part.py": "", "run.sh": "#!/bin/sh\necho ran\n",
	} {
		writeFile(t, filepath.Join(w.options.Code, name), content)
	}
	w.must(os.Chmod(filepath.Join(w.options.Code, "run.sh"), 0o700))
	before := tree(t, w.options.Code)
	e, _ := w.open()
	r := w.until(e, w.begin(e, "train"), done)
	if r.Status.State != runtimev1.Succeeded {
		t.Fatalf("%s: %s", r.Status.State, r.Status.Message)
	}
	if after := tree(t, w.options.Code); !maps.Equal(before, after) {
		t.Errorf("the code is another one: %q, was %q", after, before)
	}
	got := strings.Fields(w.get(w.bucket, key("train/"+r.Name+"/model/m")))
	if len(got) < 2 || !strings.HasSuffix(got[0], "/work") || !slices.Contains(got, "__pycache__") ||
		!slices.Contains(got, "beside.txt") || !slices.Contains(got, "moved.py") {
		t.Errorf("%q", got)
	}
}

// A copy has what a container would: files with their rights, links that lead to the copy. What is much
// is a link, and the state of unip dev is not there.
func TestACopyOfTheCode(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	for name, content := range map[string]string{
		"a.py": "a", "deep/er/b.py": "b", ".git/config": "c", "state/engine/x": "d", "state/boxes/y": "e",
		"env/pyvenv.cfg": "", "env/lib/z.py": "f", "web/node_modules/m.js": "g", "deep/.hidden": "h",
	} {
		writeFile(t, filepath.Join(from, name), content)
	}
	large, err := os.Create(filepath.Join(from, "deep", "large"))
	if err == nil {
		err = large.Truncate(mostCode)
	}
	for name, link := range map[string]string{
		"deep/in": "../a.py", "deep/out": "../../elsewhere", "whole": filepath.Join(from, "deep"), "etc": "/etc",
	} {
		if err == nil {
			err = os.Symlink(link, filepath.Join(from, name))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	linked, err := copyCode(from, to, filepath.Join(from, "state", "engine"), filepath.Join(from, "state"))
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return "-> " + filepath.Join(from, name) }
	want := map[string]string{
		"a.py": "a", "deep/er/b.py": "b", "deep/.hidden": "h", "deep/in": "-> ../a.py",
		"deep/out": "-> " + filepath.Join(from, "deep", "../../elsewhere"), "whole": "-> " + filepath.Join(to, "deep"),
		"etc": "-> /etc", "deep/large": in("deep/large"), "env": in("env"), "web/node_modules": in("web/node_modules"),
	}
	if got := tree(t, to); !maps.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	slices.Sort(linked)
	if !slices.Equal(linked, []string{"deep/large", "env", "web/node_modules"}) {
		t.Errorf("%q", linked)
	}
}
