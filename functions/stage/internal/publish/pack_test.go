//go:build integration

package publish_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

func sumOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// packKey is where the pack of these contents lies.
func packKey(attempt int, contents ...string) string {
	return stage.PackKey(stage.Prefix("r1", "fit"), attempt, "model", sumOf(strings.Join(contents, "")))
}

// output is the input that is the output of the stage of all plans here.
func output(bucket string) stage.Input {
	return stage.Input{Name: "m", Bucket: bucket, Commit: stage.CommitKey("r1", "fit"), Output: "model"}
}

// Few objects go up however many small files there are, and the large ones as ever.
func TestSmallFilesGoUpInPacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs := w.Bucket(t)
	files := full(2, "1")
	files["large"] = packed + "1"
	for i := range 1000 { // into the last pack
		files["y/"+sumOf(string(rune(i)))] = ""
	}
	p := plan(runs, 1)
	if _, err := w.publish(t, tree(t, files), p); err != nil {
		t.Fatal(err)
	}
	packs, others := 0, []string{}
	for key, o := range w.listed(t, runs) {
		if !strings.HasPrefix(key, "runs/r1/fit/1.packs/model/") {
			others = append(others, key)
			continue
		}
		if packs++; o.Size > stage.MaxPack {
			t.Errorf("%s has %d bytes", key, o.Size)
		}
	}
	if len(others) != 2 || packs != 3 {
		t.Errorf("%d packs, and %q", packs, others)
	}
	dir, done, err := w.fetch(t, output(runs))
	if err != nil || done.Files != len(files) || done.Bytes != 8<<20+1+stage.MaxPacked+1 {
		t.Fatalf("%+v %v", done, err)
	}
	if d := cmp.Diff(files, contents(t, dir)); d != "" {
		t.Errorf("(-want +got)\n%.2000s", d)
	}
}

// The same attempt that publishes something else, after its commit, leaves the commit's packs as
// they are.
func TestACommitsPacksStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs := w.Bucket(t)
	files := map[string]string{"a": "1", "b": "2"}
	for _, f := range []map[string]string{
		files, {"x": "1", "y": "2"}, {"a": "3", "b": "4"}, {"a": "5", "b": "6", "c": "7"},
	} {
		if r, err := w.publish(t, tree(t, f), plan(runs, 1)); err != nil || r.Files != 2 {
			t.Fatalf("%+v %v", r, err)
		}
	}
	dir, _, err := w.fetch(t, output(runs))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(files, contents(t, dir)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// A pack whose content is not the commit's gives no file, neither to a later stage nor to the user.
func TestADamagedPackIsRefused(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"another": "1x", "shorter": "1", "empty": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			runs, box := w.Bucket(t), w.Bucket(t)
			p := plan(runs, 1, stage.Folder{Bucket: box, Prefix: "out/"})
			if _, err := w.publish(t, tree(t, map[string]string{"a": "1", "b": "2"}), p); err != nil {
				t.Fatal(err)
			}
			w.Put(t, runs, packKey(1, "1", "2"), content)
			dir, _, err := w.fetch(t, output(runs))
			if !errors.Is(err, s3.ErrCorrupt) || !strings.Contains(err.Error(), "input m: pack ") {
				t.Errorf("fetch: %v", err)
			}
			if got := contents(t, dir); len(got) != 0 {
				t.Errorf("fetch left %q", got)
			}
			for _, key := range []string{"out/a", "out/b"} {
				if err := w.RemoveObject(t.Context(), box, key, minio.RemoveObjectOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if r, err := w.complete(t, p); !errors.Is(err, s3.ErrCorrupt) ||
				!strings.Contains(err.Error(), "output model: pack ") {
				t.Errorf("complete: %+v %v", r, err)
			}
			w.nothingIn(t, box)
		})
	}
	w := newWorld(t)
	runs := w.Bucket(t)
	if _, err := w.publish(t, tree(t, map[string]string{"a": "1", "b": "2"}), plan(runs, 1)); err != nil {
		t.Fatal(err)
	}
	if err := w.RemoveObject(t.Context(), runs, packKey(1, "1", "2"), minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.fetch(t, output(runs)); !s3.IsMissing(err) || storage.Retry(err) {
		t.Errorf("without the pack: %v", err)
	}
}

// commits writes a commit as somebody else would.
func (w world) commits(t *testing.T, bucket string, c stage.Commit) {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	w.Put(t, bucket, stage.CommitKey("r1", "fit"), string(b))
}

// A commit of before there were packs is read as ever, and its copies are completed.
func TestACommitWithoutPacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs, box := w.Bucket(t), w.Bucket(t)
	files := map[string]string{"a": "1", "b/c": "2", "d": ""}
	var list []stage.File
	for name, content := range files {
		w.Put(t, runs, stage.AttemptPrefix("r1", "fit", 1, "model")+name, content)
		list = append(list, stage.File{Path: name, Size: int64(len(content)), SHA256: sumOf(content)})
	}
	w.commits(t, runs, stage.Commit{Attempt: 1, Outputs: map[string][]stage.File{"model": list}})
	if r, err := w.complete(t, plan(runs, 2, stage.Folder{Bucket: box, Prefix: "out/"})); err != nil || r.Files != 3 {
		t.Errorf("%+v %v", r, err)
	}
	for name, in := range map[string]stage.Input{"commit": output(runs), "copies": {Name: "m", Bucket: box,
		Prefix: "out/"}} {
		dir, _, err := w.fetch(t, in)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(files, contents(t, dir)); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
}

// What a commit says of places is checked before anything is read.
func TestAForgedCommitIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs := w.Bucket(t)
	w.Put(t, runs, packKey(1, "1", "2"), "12")
	for name, change := range map[string]func(*stage.Commit, *stage.File){
		"beyond the pack":      func(_ *stage.Commit, f *stage.File) { f.Offset = stage.MaxPack },
		"before the pack":      func(_ *stage.Commit, f *stage.File) { f.Offset = -1 },
		"no such pack":         func(_ *stage.Commit, f *stage.File) { f.Pack = 2 },
		"another stage's file": func(c *stage.Commit, _ *stage.File) { c.Packs["model"][0] = "../../../other/1/model/a" },
	} {
		file := stage.File{Path: "a", Size: 1, SHA256: sumOf("2"), Pack: 1, Offset: 1}
		c := stage.Commit{Attempt: 1, Outputs: map[string][]stage.File{"model": {file}},
			Packs: map[string][]string{"model": {sumOf("12")}}}
		change(&c, &c.Outputs["model"][0])
		w.commits(t, runs, c)
		if _, _, err := w.fetch(t, output(runs)); err == nil || storage.Retry(err) ||
			!strings.Contains(err.Error(), "reading a commit") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Names that cannot both be files are as those of any other input.
	both := []stage.File{{Path: "a", Size: 1, SHA256: sumOf("1"), Pack: 1},
		{Path: "a/b", Size: 1, SHA256: sumOf("2"), Pack: 1, Offset: 1}}
	w.commits(t, runs, stage.Commit{Attempt: 1, Outputs: map[string][]stage.File{"model": both},
		Packs: map[string][]string{"model": {sumOf("12")}}})
	if _, _, err := w.fetch(t, output(runs)); err == nil || storage.Retry(err) ||
		!strings.Contains(err.Error(), "a file's and a folder's at once") {
		t.Errorf("a and a/b: %v", err)
	}
}

// The files of a pack have the mode of every file that fetch brings.
func TestFilesOfAPackAreLikeOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs := w.Bucket(t)
	if _, err := w.publish(t, tree(t, map[string]string{"a/b": "1", "a/c": "2", "a/large": packed + "1"}),
		plan(runs, 1)); err != nil {
		t.Fatal(err)
	}
	dir, _, err := w.fetch(t, output(runs))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.Stat(filepath.Join(dir, "a/large"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.Stat(filepath.Join(dir, "a/b"))
	if err != nil || got.Mode() != want.Mode() {
		t.Errorf("%v %v, want %s", got, err, want.Mode())
	}
}

// Copies of a commit whose publish was killed are completed out of its packs, and those that are
// there are not made again.
func TestCopiesAreCompletedOutOfPacks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs, box := w.Bucket(t), w.Bucket(t)
	files := full(1, "1")
	if _, err := w.publish(t, tree(t, files), plan(runs, 1)); err != nil { // as far as its commit
		t.Fatal(err)
	}
	w.putAt(t, box, "out/x", "of a former run", time.Now().Add(-time.Hour).Truncate(time.Second))
	p := plan(runs, 2, stage.Folder{Bucket: box, Prefix: "out/"}, stage.Folder{Bucket: box, Prefix: "again/"})
	for range 2 {
		if r, err := w.complete(t, p); err != nil || r.Attempt != 1 || r.Files != len(files) || r.Kept != 0 {
			t.Fatalf("%+v %v", r, err)
		}
	}
	for _, prefix := range []string{"out/", "again/"} {
		dir, _, err := w.fetch(t, stage.Input{Name: "m", Bucket: box, Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(files, contents(t, dir)); d != "" {
			t.Errorf("%s (-want +got)\n%.2000s", prefix, d)
		}
	}
}
