//go:build integration

package publish_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/fetch"
	"github.com/unip-knative/unip/functions/stage/internal/publish"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
	"github.com/unip-knative/unip/functions/stage/internal/volume"
)

// world is an S3 server with the sessions of a container, which here may do everything.
type world struct {
	*miniotest.Server
	sessions *storage.Sessions
}

func newWorld(t *testing.T) world {
	t.Helper()
	server := miniotest.Start(t)
	return world{server, openSessions(t, server.Endpoint, storage.Limits{})}
}

// newWorldBehindProxy has a proxy between what is tested and the server.
func newWorldBehindProxy(t *testing.T, l storage.Limits) (world, *miniotest.Proxy) {
	t.Helper()
	server := miniotest.Start(t)
	proxy := server.Proxy(t)
	return world{server, openSessions(t, proxy.Endpoint, l)}, proxy
}

func openSessions(t *testing.T, endpoint string, l storage.Limits) *storage.Sessions {
	t.Helper()
	dir := t.TempDir()
	b, err := json.Marshal(databox.Session{
		Endpoint: endpoint, Region: "us-east-1", Bucket: "any", AccessKeyID: miniotest.AccessKey,
		SecretAccessKey: miniotest.SecretKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "all.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return storage.OpenSessions(dir, l)
}

// publish publishes the folder of a variable.
func (w world) publish(t *testing.T, dir string, plan *stage.PublishPlan) (stage.Result, error) {
	t.Helper()
	v, err := volume.Open(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	return publish.Run(t.Context(), w.sessions, v, plan)
}

// fetchInto fetches into a volume.
func (w world) fetchInto(t *testing.T, dir string, plan *stage.FetchPlan) error {
	t.Helper()
	v, err := volume.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	_, err = fetch.Run(t.Context(), w.sessions, v, plan)
	return err
}

// fetch fetches one input into a new volume, and gives its folder.
func (w world) fetch(t *testing.T, in stage.Input) (string, stage.Result, error) {
	t.Helper()
	dir := t.TempDir()
	v, err := volume.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	in.Session = "all.json"
	done, err := fetch.Run(t.Context(), w.sessions, v, &stage.FetchPlan{Inputs: []stage.Input{in}})
	return filepath.Join(dir, in.Name), done, err
}

// tree writes files into the folder of variable "model" in a new volume; a name that ends in "/" is
// a folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// contents reads all files below a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		found[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func plan(bucket string, attempt int, copies ...stage.Folder) *stage.PublishPlan {
	for i := range copies {
		copies[i].Session = "all.json"
	}
	return &stage.PublishPlan{
		Run: "r1", Stage: "fit", Attempt: attempt, Bucket: bucket, Session: "all.json",
		Outputs: []stage.Output{{Name: "model", Copies: copies}},
	}
}

// What one stage publishes, the next one fetches, and the caller's folder gets a copy.
func TestPublishThenFetch(t *testing.T) {
	t.Parallel()
	server := newWorld(t)
	for name, files := range map[string]map[string]string{
		"nothing":             {},
		"one file":            {"a.txt": "1"},
		"empty file":          {"a.txt": ""},
		"folders":             {"a/b/c.txt": "1", "a/d.txt": "2", "e.txt": "3"},
		"spaces and Cyrillic": {"мои данные/отчёт 1.txt": "текст", "a b+c%41.txt": "x"},
		"dollars":             {"$(HOME)/$x.txt": "1"},
		"20 MiB":              {"big": strings.Repeat("0123456789abcdef", 20<<16), "small": "1"},
		"many":                many(300),
		"as large as packed":  {"a": packed, "b": packed, "c": packed + "1", "d": "", "e/f": "1"},
		"two full packs":      full(2, ""),
		"a byte more":         full(2, "1"),
		"one large file":      {"a": packed + "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bucket, box := server.Bucket(t), server.Bucket(t)
			dir := tree(t, files)
			to := stage.Folder{Bucket: box, Prefix: "out/"}
			if _, err := server.publish(t, dir, plan(bucket, 1, to)); err != nil {
				t.Fatal(err)
			}
			into, done, err := server.fetch(t, stage.Input{Name: "model", Bucket: bucket,
				Commit: stage.CommitKey("r1", "fit"), Output: "model"})
			if err != nil {
				t.Fatal(err)
			}
			if done.Files != len(files) {
				t.Errorf("%d files, want %d", done.Files, len(files))
			}
			if d := cmp.Diff(contents(t, dir), contents(t, into)); d != "" {
				t.Errorf("by commit (-want +got)\n%.2000s", d)
			}
			copied, _, err := server.fetch(t, stage.Input{Name: "m", Bucket: box, Prefix: "out/"})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(contents(t, dir), contents(t, copied)); d != "" {
				t.Errorf("the copy (-want +got)\n%.2000s", d)
			}
		})
	}
}

// packed is a content as large as one in a pack may be.
var packed = strings.Repeat("0123456789abcdef", stage.MaxPacked/16)

// full are files that fill packs, and one more.
func full(packs int, more string) map[string]string {
	files := map[string]string{"x": more}
	for i := range packs * stage.MaxPack / stage.MaxPacked {
		files[fmt.Sprintf("%d/%d", i%10, i)] = fmt.Sprintf("%06d", i) + packed[6:]
	}
	return files
}

func many(n int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("%d/%d.txt", i%10, i)] = fmt.Sprint(i)
	}
	return files
}

// The first attempt to commit wins; a later one leaves nothing to be seen, and repeating is
// harmless.
func TestOneAttemptWins(t *testing.T) {
	t.Parallel()
	server := newWorld(t)
	bucket, box := server.Bucket(t), server.Bucket(t)
	to := stage.Folder{Bucket: box, Prefix: "out/"}
	first := tree(t, map[string]string{"a": "first", "c": "too"})
	second := tree(t, map[string]string{"a": "second", "b": "more"})
	for _, x := range []struct {
		dir     string
		attempt int
	}{{first, 1}, {second, 2}, {first, 1}} {
		done, err := server.publish(t, x.dir, plan(bucket, x.attempt, to))
		if err != nil {
			t.Fatal(err)
		}
		if done.Attempt != 1 {
			t.Errorf("attempt %d has won", done.Attempt)
		}
	}
	var keys []string
	for o := range server.ListObjects(t.Context(), box, minio.ListObjectsOptions{Recursive: true}) {
		keys = append(keys, o.Key)
	}
	if d := cmp.Diff([]string{"out/a", "out/c"}, keys); d != "" || server.content(t, box, "out/a") != "first" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// A stage whose run has ended without it is closed: whoever comes to its commit later publishes
// nothing, for good, and so does whoever is to complete it or wants its outputs.
func TestAClosedStagePublishesNothing(t *testing.T) {
	t.Parallel()
	server := newWorld(t)
	bucket, box := server.Bucket(t), server.Bucket(t)
	server.Put(t, bucket, stage.CommitKey("r1", "fit"), stage.ClosedCommit)
	plan := plan(bucket, 1, stage.Folder{Bucket: box, Prefix: "out/"})
	_, err := server.publish(t, tree(t, map[string]string{"a": "1", "b": packed + "1"}), plan)
	_, complete := publish.Complete(t.Context(), server.sessions, plan)
	_, _, fetched := server.fetch(t, stage.Input{Name: "model", Bucket: bucket, Commit: stage.CommitKey("r1", "fit"),
		Output: "model"})
	for what, err := range map[string]error{"publish": err, "complete": complete, "fetch": fetched} {
		if !errors.Is(err, stage.ErrClosed) || storage.Retry(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for o := range server.ListObjects(t.Context(), box, minio.ListObjectsOptions{Recursive: true}) {
		t.Errorf("%s is visible", o.Key)
	}
}

// Whatever is no file or folder is refused by name, and nothing is published.
func TestLinksAndTheLikeAreRefused(t *testing.T) {
	t.Parallel()
	server := newWorld(t)
	outside := filepath.Join(tree(t, map[string]string{"secret": "key"}), "secret")
	for name, make := range map[string]func(dir string) error{
		"link to a secret":    func(d string) error { return os.Symlink(outside, filepath.Join(d, "x")) },
		"link to the process": func(d string) error { return os.Symlink("/proc/self/environ", filepath.Join(d, "x")) },
		"link to a folder":    func(d string) error { return os.Symlink(filepath.Dir(outside), filepath.Join(d, "x")) },
		"dangling link":       func(d string) error { return os.Symlink("nowhere", filepath.Join(d, "x")) },
		"hard link":           func(d string) error { return os.Link(outside, filepath.Join(d, "x")) },
		"named pipe":          func(d string) error { return syscall.Mkfifo(filepath.Join(d, "x"), 0o600) },
		"socket": func(d string) error {
			l, err := net.Listen("unix", filepath.Join(d, "x"))
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bucket := server.Bucket(t)
			dir := tree(t, map[string]string{"good.txt": "1"})
			if err := make(dir); err != nil {
				t.Fatal(err)
			}
			_, err := server.publish(t, dir, plan(bucket, 1))
			if err == nil || !strings.Contains(err.Error(), `"x" is a`) || storage.Retry(err) {
				t.Errorf("error %v, want a permanent one that names x", err)
			}
			for o := range server.ListObjects(context.Background(), bucket, minio.ListObjectsOptions{Recursive: true}) {
				t.Errorf("published: %s", o.Key)
			}
		})
	}
}

func TestFetchRefusesWhatCannotBecomeFiles(t *testing.T) {
	t.Parallel()
	server := newWorld(t)
	bucket := server.Bucket(t)
	for _, key := range []string{"both/a/b", "sibling/x", "siblings/y", "one.txt"} {
		server.Put(t, bucket, key, "x")
	}
	in := func(change func(*stage.Input)) stage.Input {
		i := stage.Input{Name: "table", Bucket: bucket}
		change(&i)
		return i
	}
	for name, c := range map[string]struct {
		in   stage.Input
		want string
	}{
		"missing object": {in(func(i *stage.Input) { i.Key = "nothing" }), "input table: nothing"},
		"changed object": {in(func(i *stage.Input) { i.Key, i.ETag = "one.txt", "another" }),
			"has changed since the run was requested"},
		"missing commit": {in(func(i *stage.Input) { i.Commit, i.Output = "runs/r/s/commit", "o" }), "runs/r/s/commit"},
	} {
		if _, _, err := server.fetch(t, c.in); err == nil || !strings.Contains(err.Error(), c.want) ||
			storage.Retry(err) {
			t.Errorf("%s: %v, want a permanent error with %q", name, err, c.want)
		}
	}
	dir, _, err := server.fetch(t, in(func(i *stage.Input) { i.Prefix = "sibling/" }))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"x": "x"}, contents(t, dir)); d != "" {
		t.Errorf("a sibling of the prefix came too (-want +got)\n%s", d)
	}
}

// Outputs that do not fit into the box that they go to are refused as a whole: nothing of them is
// committed.
func TestOutputsThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs, box := w.Bucket(t), w.Bucket(t)
	usage := databox.UsageOf(w.Bucket(t), "pu-ann", "userdata")
	dir := filepath.Join(t.TempDir(), "out")
	for name, content := range map[string]string{"a": "12345", "b": "67890"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	plan := &stage.PublishPlan{Run: "r", Stage: "s", Attempt: 1, Bucket: runs, Session: "all.json",
		Outputs: []stage.Output{{
			Name: "out", Copies: []stage.Folder{{Bucket: box, Prefix: "p/", Session: "all.json",
				Usage: &usage}},
		}}}
	for _, c := range []struct {
		capacity int64
		counted  bool
		fits     bool
	}{{9, false, false}, {9, true, false}, {10, true, true}} {
		usage.Capacity = c.capacity
		if c.counted {
			usage.Capacity = 0 // what was counted holds
			err := s3.WriteUsage(t.Context(), w.Client, usage, databox.Usage{Capacity: c.capacity})
			if err != nil {
				t.Fatal(err)
			}
		}
		_, err := w.publish(t, dir, plan)
		var full *databox.FullError
		if (err == nil) != c.fits || !c.fits && (!errors.As(err, &full) || full.Missing() != 1 || storage.Retry(err)) {
			t.Fatalf("10 bytes into %d: %v", c.capacity, err)
		}
		if !c.fits {
			if _, err := w.StatObject(t.Context(), runs, stage.CommitKey("r", "s"),
				minio.StatObjectOptions{}); err == nil {
				t.Error("they are committed")
			}
		}
	}
}
