//go:build integration

package publish_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

// all is what lies below a folder: files with their contents, folders by themselves.
func all(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := contents(t, dir)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, p); err == nil && d.IsDir() && rel != "." {
			found[rel+"/"] = ""
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What a trainer leaves arrives in the next stage: links as what they point to, hard links, empty
// folders. A content goes up once, under however many names it is. In a box, which has no folders,
// the copies are files.
func TestLinksAndEmptyFoldersArrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs, box := w.Bucket(t), w.Bucket(t)
	large := strings.Repeat("x", stage.MaxPacked+1)
	dir := tree(t, map[string]string{"epoch-3/model": large, "epoch-3/loss": "1", "epoch-3/seed": "2", "logs/": "",
		"checkpoints/epoch-1/": ""})
	for name, target := range map[string]string{"last": "epoch-3", "best.bin": "/models/last/model",
		"logs-now": "logs", "loss": "epoch-3/loss"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, of := range map[string]string{"z": "epoch-3/model", "seed": "epoch-3/seed"} {
		if err := os.Link(filepath.Join(dir, of), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{
		"epoch-3/model": large, "epoch-3/loss": "1", "epoch-3/seed": "2", "last/model": large, "last/loss": "1",
		"last/seed": "2", "best.bin": large, "loss": "1", "z": large, "seed": "2",
	}
	want := map[string]string{"epoch-3/": "", "last/": "", "logs/": "", "logs-now/": "", "checkpoints/": "",
		"checkpoints/epoch-1/": ""}
	for name, content := range files {
		want[name] = content
	}
	p := plan(runs, 1, stage.Folder{Bucket: box, Prefix: "out/"})
	p.Outputs[0].Paths = []string{"/models/"}
	done, err := w.publish(t, dir, p)
	if err != nil || done.Files != len(files) {
		t.Fatalf("%+v %v, want %d files", done, err, len(files))
	}
	var keys []string
	for key := range w.listed(t, runs) {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if d := cmp.Diff([]string{packKey(1, "1", "2"), "runs/r1/fit/1/model/best.bin", "runs/r1/fit/commit"},
		keys); d != "" {
		t.Errorf("the run bucket (-want +got)\n%s", d)
	}
	into, brought, err := w.fetch(t, output(runs))
	if err != nil || brought.Files != done.Files || brought.Bytes != done.Bytes {
		t.Fatalf("%+v %v, want %+v", brought, err, done)
	}
	if d := cmp.Diff(want, all(t, into)); d != "" {
		t.Errorf("the next stage (-want +got)\n%.2000s", d)
	}
	check := func() {
		t.Helper()
		copied, _, err := w.fetch(t, stage.Input{Name: "m", Bucket: box, Prefix: "out/"})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(files, contents(t, copied)); d != "" {
			t.Errorf("the copies (-want +got)\n%.2000s", d)
		}
	}
	check()
	for o := range w.ListObjects(t.Context(), box, minio.ListObjectsOptions{Recursive: true}) {
		if err := w.RemoveObject(t.Context(), box, o.Key, minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.complete(t, p); err != nil {
		t.Fatal(err)
	}
	check()
}

// An output of nothing but empty folders is one.
func TestAnOutputOfEmptyFolders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs := w.Bucket(t)
	if done, err := w.publish(t, tree(t, map[string]string{"a/b/": "", "c/": ""}), plan(runs, 1)); err != nil ||
		done.Files != 0 {
		t.Fatalf("%+v %v", done, err)
	}
	into, _, err := w.fetch(t, output(runs))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"a/": "", "a/b/": "", "c/": ""}, all(t, into)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// A commit's folders and objects are checked as its files are: they become folders and keys.
func TestAForgedCommitsFoldersAndObjectsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs := w.Bucket(t)
	for name, c := range map[string]stage.Commit{
		"a folder outside": {Folders: map[string][]string{"model": {"../x"}}},
		"another stage's object": {Outputs: map[string][]stage.File{"model": {{Path: "a", Size: 1, SHA256: sumOf("1"),
			Object: "../../../other/1/model/a"}}}},
		"an object and a pack": {Packs: map[string][]string{"model": {sumOf("1")}},
			Outputs: map[string][]stage.File{"model": {{Path: "a", Size: 1, SHA256: sumOf("1"), Pack: 1,
				Object: "b"}}}},
	} {
		if c.Attempt = 1; c.Outputs == nil {
			c.Outputs = map[string][]stage.File{"model": nil}
		}
		w.commits(t, runs, c)
		if _, _, err := w.fetch(t, output(runs)); err == nil || storage.Retry(err) ||
			!strings.Contains(err.Error(), "reading a commit") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
