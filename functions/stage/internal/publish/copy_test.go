//go:build integration

package publish_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/publish"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

// listed are the objects of a bucket, with times to the millisecond.
func (w world) listed(t *testing.T, bucket string) map[string]minio.ObjectInfo {
	t.Helper()
	all := map[string]minio.ObjectInfo{}
	for o := range w.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		all[o.Key] = o
	}
	return all
}

// complete completes the copies of a commit.
func (w world) complete(t *testing.T, p *stage.PublishPlan) (stage.Result, error) {
	t.Helper()
	p.Complete = true
	return publish.Complete(t.Context(), w.sessions, p)
}

// putAt writes an object as of a time in the past.
func (w world) putAt(t *testing.T, bucket, key, content string, at time.Time) {
	t.Helper()
	o := minio.PutObjectOptions{Internal: minio.AdvancedPutOptions{SourceMTime: at, ReplicationRequest: true,
		SourceETag: strings.Repeat("0", 32)}}
	if _, err := w.PutObject(t.Context(), bucket, key, strings.NewReader(content), int64(len(content)), o); err != nil {
		t.Fatal(err)
	}
	if info, err := w.StatObject(t.Context(), bucket, key, minio.StatObjectOptions{}); err != nil ||
		!info.LastModified.Equal(at) {
		t.Fatalf("written at %s: %v", info.LastModified, err)
	}
}

// A copy says which commit it is of, and has the type of the file that it is made of.
func TestCopiesSayWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs, box := w.Bucket(t), w.Bucket(t)
	large := strings.Repeat("1", stage.MaxPacked+1)
	files := map[string]string{"a/b.json": "{}", "отчёт 1  %41.txt": "текст", "empty": "", "plain.bin": "1",
		"a/large.json": large, "large  %41.txt": large, "large": large}
	p := plan(runs, 3, stage.Folder{Bucket: box, Prefix: "out/"})
	if _, err := w.publish(t, tree(t, files), p); err != nil {
		t.Fatal(err)
	}
	commit, err := storage.ReadCommit(t.Context(), w.Client, runs, stage.CommitKey("r1", "fit"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range files {
		info, err := w.StatObject(t.Context(), box, "out/"+name, minio.StatObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		origin, ok := stage.OriginOf(info.UserMetadata)
		if !ok || origin.Run != "r1" || origin.Stage != "fit" || origin.Path != name || origin.Output != "model" ||
			!origin.Matches(commit, info.Key, info.Size) {
			t.Errorf("%s: %+v %v of %v", name, origin, ok, info.UserMetadata)
		}
		want := map[string]string{".json": "application/json", ".txt": "text/plain; charset=utf-8",
			"": "application/octet-stream", ".bin": "application/octet-stream"}[filepath.Ext(name)]
		if info.ContentType != want {
			t.Errorf("%s is %s, and should be %s", name, info.ContentType, want)
		}
	}
}

// Without trouble a small file is one request, its copy, and a larger one two. A pack is two, up and
// down, and all of them need one commit.
func TestTheQuietPathAsksNothingElse(t *testing.T) {
	t.Parallel()
	w, proxy := newWorldBehindProxy(t, storage.Limits{})
	runs, box := w.Bucket(t), w.Bucket(t)
	p := plan(runs, 1, stage.Folder{Bucket: box, Prefix: "out/"})
	files := map[string]string{"a": "1", "b": "2", "large": strings.Repeat("3", stage.MaxPacked+1)}
	if _, err := w.publish(t, tree(t, files), p); err != nil {
		t.Fatal(err)
	}
	seen, pack := proxy.Seen(), packKey(1, "1", "2")
	slices.Sort(seen)
	want := []string{
		"PUT /" + box + "/out/a", "PUT /" + box + "/out/b", "PUT /" + box + "/out/large",
		"PUT /" + runs + "/" + pack, "GET /" + runs + "/" + pack, "PUT /" + runs + "/runs/r1/fit/1/model/large",
		"PUT /" + runs + "/runs/r1/fit/commit",
	}
	slices.Sort(want)
	if d := cmp.Diff(want, seen); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// Whoever completes a commit makes the copies that lack, and no other: each would be news to whom
// the box tells of it. What somebody has put there since the commit stays; what was there before is
// replaced.
func TestACommitIsCompleted(t *testing.T) {
	t.Parallel()
	for name, complete := range map[string]func(world, *testing.T, *stage.PublishPlan) (stage.Result, error){
		"by an attempt that has nothing else to do": world.complete,
		"by an attempt that another was faster than": func(
			w world, t *testing.T, p *stage.PublishPlan,
		) (stage.Result, error) {
			p.Attempt = 2
			return w.publish(t, tree(t, map[string]string{"another": "attempt", "its": "pack"}), p)
		},
		"by the attempt itself, again": func(w world, t *testing.T, p *stage.PublishPlan) (stage.Result, error) {
			return w.publish(t, tree(t, map[string]string{"another": "content", "its": "pack"}), p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			runs, box := w.Bucket(t), w.Bucket(t)
			p := plan(runs, 1, stage.Folder{Bucket: box, Prefix: "out/"})
			files := map[string]string{"whole": "1", "lacks": "2", "mine": "3", "before": "4", "shorter": "5"}
			if _, err := w.publish(t, tree(t, files), p); err != nil {
				t.Fatal(err)
			}
			if err := w.RemoveObject(t.Context(), box, "out/lacks", minio.RemoveObjectOptions{}); err != nil {
				t.Fatal(err)
			}
			w.Put(t, box, "out/mine", "the user's own")
			w.Put(t, box, "out/shorter", "6") // of the same size
			w.putAt(t, box, "out/before", "of a former run", time.Now().Add(-time.Hour).Truncate(time.Second))
			was := w.listed(t, box)

			r, err := complete(w, t, p)
			if err != nil || r.Attempt != 1 || r.Files != len(files) || r.Bytes != 5 || r.Kept != 2 || r.Error != "" {
				t.Errorf("%+v %v", r, err)
			}
			is := w.listed(t, box)
			for key, again := range map[string]bool{
				"out/whole": false, "out/lacks": true, "out/mine": false, "out/before": true, "out/shorter": false,
			} {
				then, now := was[key], is[key]
				if written := then.ETag != now.ETag || !then.LastModified.Equal(now.LastModified); written != again {
					t.Errorf("%s: written %v", key, written)
				}
			}
			for key, want := range map[string]string{
				"out/before": "4", "out/mine": "the user's own", "out/shorter": "6",
			} {
				if got := w.content(t, box, key); got != want {
					t.Errorf("%s holds %q", key, got)
				}
			}
			if len(is) != len(files) {
				t.Errorf("%d objects", len(is))
			}
		})
	}
}

func (w world) content(t *testing.T, bucket, key string) string {
	t.Helper()
	dir, _, err := w.fetch(t, stage.Input{Name: "x", Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, filepath.Base(key)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Metadata are what an uploader says. One that names this commit, but is of another size, is a
// user's file like any other.
func TestAForgedCopyIsNoCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	runs, box := w.Bucket(t), w.Bucket(t)
	p := plan(runs, 1, stage.Folder{Bucket: box, Prefix: "out/"})
	if _, err := w.publish(t, tree(t, map[string]string{"a": "1"}), p); err != nil {
		t.Fatal(err)
	}
	info, err := w.StatObject(t.Context(), box, "out/a", minio.StatObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.PutObject(t.Context(), box, "out/a", strings.NewReader("forged"), 6,
		minio.PutObjectOptions{UserMetadata: info.UserMetadata}); err != nil {
		t.Fatal(err)
	}
	if r, err := w.complete(t, p); err != nil || r.Kept != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

// Without a commit there is nothing to complete. Whoever asked saw one: another attempt may, too.
func TestNothingToComplete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := plan(w.Bucket(t), 2, stage.Folder{Bucket: w.Bucket(t), Prefix: "out/"})
	if r, err := w.complete(t, p); err == nil || !storage.Retry(err) ||
		!strings.Contains(err.Error(), "there is no commit at runs/r1/fit/commit") {
		t.Errorf("%+v %v", r, err)
	}
}

// A copy whose answer is lost is not made twice, and what a user puts in a copy's place while the
// storage is away is not lost.
func TestALostAnswerIsNotRepeatedBlindly(t *testing.T) {
	t.Parallel()
	w, proxy := newWorldBehindProxy(t, storage.Limits{})
	runs, box := w.Bucket(t), w.Bucket(t)
	p := plan(runs, 1, stage.Folder{Bucket: box, Prefix: "out/"})
	first := map[string]bool{}
	proxy.Fault(func(r *http.Request) miniotest.Fault {
		known := first[r.URL.Path]
		if !known && r.Method == http.MethodPut {
			first[r.URL.Path] = true
			switch {
			case strings.HasSuffix(r.URL.Path, "/out/theirs"):
				w.Put(t, box, "out/theirs", "the user's own")
				return miniotest.Broken
			case strings.HasSuffix(r.URL.Path, "/out/ours"):
				return miniotest.Lost
			}
		}
		return miniotest.None
	})
	r, err := w.publish(t, tree(t, map[string]string{"ours": "1", "theirs": "2", "quiet": "3"}), p)
	if err != nil || r.Kept != 1 || r.Files != 3 {
		t.Errorf("%+v %v", r, err)
	}
	copies := 0
	for _, s := range proxy.Seen() {
		if s == "PUT /"+box+"/out/ours" {
			copies++
		}
	}
	if copies != 1 {
		t.Errorf("the copy was made %d times", copies)
	}
	if got := w.content(t, box, "out/theirs"); got != "the user's own" {
		t.Errorf("the user's file became %q", got)
	}
}

// A commit whose answer is lost is the attempt's own all the same.
func TestALostAnswerToTheCommit(t *testing.T) {
	t.Parallel()
	w, proxy := newWorldBehindProxy(t, storage.Limits{})
	runs, box := w.Bucket(t), w.Bucket(t)
	lost := false
	proxy.Fault(func(r *http.Request) miniotest.Fault {
		if !lost && strings.HasSuffix(r.URL.Path, "/fit/commit") {
			lost = true
			return miniotest.Lost
		}
		return miniotest.None
	})
	r, err := w.publish(t, tree(t, map[string]string{"a": "1"}), plan(runs, 2, stage.Folder{Bucket: box, Prefix: "out/"}))
	if err != nil || r.Attempt != 2 || r.Files != 1 || r.Kept != 0 {
		t.Errorf("%+v %v", r, err)
	}
	if got := w.content(t, box, "out/a"); got != "1" {
		t.Errorf("the copy holds %q", got)
	}
}

// Storage that is away for some requests is waited for, whatever it does instead of an answer.
func TestStorageInTroubleIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]miniotest.Fault{
		"busy": miniotest.Busy, "hangs": miniotest.Hang, "lost": miniotest.Lost, "half": miniotest.Half,
		"broken": miniotest.Broken, "ended": miniotest.Ended,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, proxy := newWorldBehindProxy(t, storage.Limits{Patience: time.Minute, Stall: 300 * time.Millisecond})
			runs, box := w.Bucket(t), w.Bucket(t)
			files := map[string]string{"a": "1", "b/c": strings.Repeat("0123456789abcdef", 2<<20/16), "d": ""}
			troubled := map[string]int{}
			proxy.Fault(func(r *http.Request) miniotest.Fault {
				at := r.Method + r.URL.String()
				if troubled[at]++; troubled[at] > 2 {
					return miniotest.None
				}
				return fault
			})
			err := inTime(t, func() error {
				_, err := w.publish(t, tree(t, files), plan(runs, 1, stage.Folder{Bucket: box, Prefix: "out/"}))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, in := range []stage.Input{
				{Name: "m", Bucket: box, Prefix: "out/"},
				{Name: "m", Bucket: runs, Commit: stage.CommitKey("r1", "fit"), Output: "model"},
			} {
				err := inTime(t, func() error {
					dir, _, err := w.fetch(t, in)
					if err == nil {
						if d := cmp.Diff(files, contents(t, dir)); d != "" {
							t.Errorf("(-want +got)\n%.2000s", d)
						}
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Patience ends, and then it is said what was waited for. Another attempt may have more luck.
func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	for fault, want := range map[miniotest.Fault]string{
		miniotest.Busy:  "storage has not answered for",
		miniotest.Hang:  "storage has not answered for",
		miniotest.Ended: "the S3 session has ended, and no other has come for",
	} {
		w, proxy := newWorldBehindProxy(t, storage.Limits{Patience: 500 * time.Millisecond,
			Renewal: 500 * time.Millisecond, Stall: 200 * time.Millisecond})
		proxy.Fault(func(*http.Request) miniotest.Fault { return fault })
		for what, do := range map[string]func() error{
			"publish": func() error {
				_, err := w.publish(t, tree(t, map[string]string{"a": "1"}), plan("runs", 1))
				return err
			},
			"complete": func() error { _, err := w.complete(t, plan("runs", 1)); return err },
			"fetch": func() error {
				_, _, err := w.fetch(t, stage.Input{Name: "x", Bucket: "box", Key: "k"})
				return err
			},
		} {
			err := inTime(t, do)
			if err == nil || !storage.Retry(err) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", what, err, want)
			}
			if p, ok := errors.AsType[*storage.PatienceError](err); !ok || p.Waited > time.Minute {
				t.Errorf("%s does not say how long it has waited: %+v", what, p)
			}
		}
	}
}

// What storage refuses is not asked again.
func TestRefusalsEndAtOnce(t *testing.T) {
	t.Parallel()
	w, proxy := newWorldBehindProxy(t, storage.Limits{Patience: time.Hour})
	_, err := w.publish(t, tree(t, map[string]string{"a": "1"}), plan("no-such-bucket", 1))
	if err == nil || storage.Retry(err) || len(proxy.Seen()) != 1 {
		t.Errorf("%v", err)
	}
}

// Whoever is told to end ends, however long patience would last.
func TestTheContextEndsPatience(t *testing.T) {
	t.Parallel()
	w, proxy := newWorldBehindProxy(t, storage.Limits{Patience: time.Hour})
	ctx, stop := context.WithCancel(t.Context())
	proxy.Fault(func(*http.Request) miniotest.Fault {
		stop()
		return miniotest.Hang
	})
	p := plan("runs", 1)
	p.Complete = true
	if err := inTime(t, func() error { _, err := publish.Complete(ctx, w.sessions, p); return err }); err == nil ||
		!storage.Retry(err) {
		t.Error(err)
	}
}
