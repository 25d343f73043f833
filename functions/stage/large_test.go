//go:build integration

package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/stage"
)

// maxMemory is what fetch and publish may have in memory at most, whatever they carry.
const maxMemory = 64 << 20

// peak runs the program as a process of its own and gives the most memory that it had, in bytes,
// and how long it took.
func (w world) peak(t *testing.T, command string, plan any) (int64, time.Duration) {
	t.Helper()
	c, _ := w.program(t, command, plan)
	began := time.Now()
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	used, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("no usage of a process")
	}
	return used.Maxrss << 10, time.Since(began)
}

// A large file goes in and out in bounded memory. UNIP_LARGE is its size in MiB; 2048 is what is
// promised.
func TestALargeFileInLittleMemory(t *testing.T) {
	t.Parallel()
	size := int64(260) // more than one request copies
	if s := os.Getenv("UNIP_LARGE"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		size = n
	}
	size <<= 20
	w := newWorld(t)
	if _, err := w.s3.PutObject(t.Context(), w.bucket, "users/ann/file_groups/in/large.json",
		io.LimitReader(rand.Reader, size), size, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	in := filepath.Join(w.data, "o", "large.json")
	memory, took := w.peak(t, "fetch", &stage.FetchPlan{
		Inputs: []stage.Input{{Name: "o", Session: sessionFile, Bucket: w.bucket,
			Key: "users/ann/file_groups/in/large.json"}},
	})
	t.Logf("fetch of %d MiB: %d MiB of memory, %s", size>>20, memory>>20, took.Round(time.Millisecond))
	if i, err := os.Stat(in); err != nil || i.Size() != size || memory > maxMemory {
		t.Errorf("fetch: %v %v, %d MiB of memory", i, err, memory>>20)
	}
	memory, took = w.peak(t, "publish", &stage.PublishPlan{Run: "r", Stage: "s", Attempt: 1, Bucket: w.bucket,
		Session: sessionFile, Outputs: []stage.Output{
			{Name: "o", Copies: []stage.Folder{{Bucket: w.bucket, Prefix: "users/ann/file_groups/out/",
				Session: sessionFile}}},
		}})
	t.Logf("publish: %d MiB of memory, %s", memory>>20, took.Round(time.Millisecond))
	o, err := w.s3.StatObject(t.Context(), w.bucket, "users/ann/file_groups/out/large.json", minio.StatObjectOptions{})
	if err != nil || o.Size != size || memory > maxMemory {
		t.Errorf("publish: %d bytes, %v, %d MiB of memory", o.Size, err, memory>>20)
	}
	if origin, ok := stage.OriginOf(o.UserMetadata); !ok || origin.Path != "large.json" ||
		o.ContentType != "application/json" {
		t.Errorf("the copy is of %v %+v, and %s", ok, origin, o.ContentType)
	}
}

// Two thousand small files, empty ones and strange names among them, go out, in again, and stay
// what they are.
func TestManySmallFiles(t *testing.T) {
	t.Parallel()
	const n = 2000
	w := newWorld(t)
	out := filepath.Join(w.data, "o")
	for i := range n {
		name := filepath.Join(out, fmt.Sprintf("группа %d", i%7), fmt.Sprintf("f %d $(HOME) +%%2F", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(strings.Repeat("x", i%5)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	memory, took := w.peak(t, "publish", &stage.PublishPlan{Run: "r", Stage: "s", Attempt: 1, Bucket: w.bucket,
		Session: sessionFile, Outputs: []stage.Output{
			{Name: "o", Copies: []stage.Folder{{Bucket: w.bucket, Prefix: "users/ann/file_groups/out/",
				Session: sessionFile}}},
		}})
	t.Logf("publish of %d files: %d MiB of memory, %s", n, memory>>20, took.Round(time.Millisecond))
	inMemory, took := w.peak(t, "fetch", &stage.FetchPlan{Inputs: []stage.Input{
		{Name: "commit", Session: sessionFile, Bucket: w.bucket, Commit: stage.CommitKey("r", "s"), Output: "o"},
		{Name: "folder", Session: sessionFile, Bucket: w.bucket, Prefix: "users/ann/file_groups/out/"},
	}})
	t.Logf("fetch of twice as many: %d MiB of memory, %s", inMemory>>20, took.Round(time.Millisecond))
	if memory > maxMemory || inMemory > maxMemory {
		t.Errorf("%d and %d MiB of memory", memory>>20, inMemory>>20)
	}
	for _, folder := range []string{"commit", "folder"} {
		for i := range n {
			name := filepath.Join(w.data, folder, fmt.Sprintf("группа %d", i%7), fmt.Sprintf("f %d $(HOME) +%%2F", i))
			if b, err := os.ReadFile(name); err != nil || len(b) != i%5 {
				t.Fatalf("%s: %d bytes, %v", name, len(b), err)
			}
		}
	}
}

// Files as large as a pack takes, of many packs, go out and in, in memory that does not grow with
// them.
func TestPacksInLittleMemory(t *testing.T) {
	t.Parallel()
	const n = 16 * stage.MaxPack / stage.MaxPacked
	w := newWorld(t)
	out := filepath.Join(w.data, "o")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		content := []byte(strings.Repeat(fmt.Sprintf("%08d", i), stage.MaxPacked/8))
		if err := os.WriteFile(filepath.Join(out, fmt.Sprint(i)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	memory, _ := w.peak(t, "publish", &stage.PublishPlan{Run: "r", Stage: "s", Attempt: 1, Bucket: w.bucket,
		Session: sessionFile, Outputs: []stage.Output{
			{Name: "o", Copies: []stage.Folder{{Bucket: w.bucket, Prefix: "users/ann/file_groups/out/",
				Session: sessionFile}}},
		}})
	inMemory, _ := w.peak(t, "fetch", &stage.FetchPlan{Inputs: []stage.Input{
		{Name: "i", Session: sessionFile, Bucket: w.bucket, Commit: stage.CommitKey("r", "s"), Output: "o"},
	}})
	t.Logf("%d MiB: %d and %d MiB of memory", n*stage.MaxPacked>>20, memory>>20, inMemory>>20)
	if memory > maxMemory || inMemory > maxMemory {
		t.Errorf("%d and %d MiB of memory", memory>>20, inMemory>>20)
	}
	for i := range n {
		was, err := os.ReadFile(filepath.Join(out, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		is, err := os.ReadFile(filepath.Join(w.data, "i", fmt.Sprint(i)))
		if err != nil || string(is) != string(was) {
			t.Fatalf("%d: %d bytes, %v", i, len(is), err)
		}
	}
}
