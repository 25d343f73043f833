package storage_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sys/unix"

	"github.com/unip-knative/unip/eventing/databox/s3"
)

// On a full disk an upload is refused with 507 and leaves nothing; what was stored can be read, and
// deleted, and then there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	small := mount(t, "tmpfs", "size=24m,mode=0700")
	s := open(t, filepath.Join(small, ".unip"))
	c := client(t, s)
	ctx := t.Context()
	put := func(key string, size int, o minio.PutObjectOptions) error {
		_, err := c.Client.PutObject(ctx, bucket, key, bytes.NewReader(content(key, size)), int64(size), o)
		return err
	}
	if err := put("kept", 8<<20, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	acknowledge(t, s)
	for key, o := range map[string]minio.PutObjectOptions{
		"one": {DisableMultipart: true}, "parts": {PartSize: 5 << 20},
	} {
		err := put(key, 20<<20, o)
		if status := minio.ToErrorResponse(err).StatusCode; status != http.StatusInsufficientStorage {
			t.Errorf("%s: %v", key, err)
		}
		if _, err := c.Client.StatObject(ctx, bucket, key, minio.StatObjectOptions{}); !s3.IsMissing(err) {
			t.Errorf("%s is there: %v", key, err)
		}
		for u := range c.Client.ListIncompleteUploads(ctx, bucket, "", true) {
			if err := c.AbortMultipartUpload(ctx, bucket, u.Key, u.UploadID); err != nil {
				t.Error(err)
			}
		}
	}
	// To the last byte: what is kept of an object besides its content needs room, too.
	if err := fill(filepath.Join(small, "fill")); err != nil {
		t.Fatal(err)
	}
	if err := put("tiny", 1, minio.PutObjectOptions{}); minio.ToErrorResponse(err).StatusCode !=
		http.StatusInsufficientStorage {
		t.Errorf("%v", err)
	}
	if got := get(t, c, "kept"); got != string(content("kept", 8<<20)) {
		t.Error("what was stored is another content")
	}
	if err := os.Remove(filepath.Join(small, "fill")); err != nil {
		t.Fatal(err)
	}
	if err := put("after", 1<<20, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	if o := acknowledge(t, s); o.Key != "after" {
		t.Errorf("%+v", o)
	}
}

// mount mounts a file system of its own for the test, where root allows it.
func mount(t *testing.T, kind, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount(kind, dir, kind, 0, options); err != nil {
		if os.Getenv("CI") != "" && os.Getuid() == 0 {
			t.Fatal(err)
		}
		t.Skipf("no %s can be mounted here: %v", kind, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// On a file system that keeps no attributes they lie beside the files, and nothing else differs.
func TestNoAttributes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(mount(t, "ramfs", ""), ".unip")
	s := open(t, dir)
	c := client(t, s)
	ctx := t.Context()
	const size = 11 << 20
	for key, o := range map[string]minio.PutObjectOptions{
		"one": {DisableMultipart: true}, "parts": {PartSize: 5 << 20},
	} {
		o.UserMetadata, o.ContentType = map[string]string{"Unip-Of": key}, "application/x-test"
		u, err := c.Client.PutObject(ctx, bucket, key, bytes.NewReader(content(key, size)), size, o)
		if err != nil {
			t.Fatal(err)
		}
		acknowledge(t, s)
		info, err := c.Client.StatObject(ctx, bucket, key, minio.StatObjectOptions{})
		if err != nil || info.ETag != u.ETag || info.UserMetadata["Unip-Of"] != key ||
			info.ContentType != o.ContentType {
			t.Errorf("%+v, %v", info, err)
		}
	}
	write(t, filepath.Join(s.Folder(bucket), "one"), "by hand")
	if o := acknowledge(t, s); o.Key != "one" || o.Size != 7 {
		t.Errorf("%+v", o)
	}
	if got := get(t, c, "one"); got != "by hand" {
		t.Errorf("%q", got)
	}
	if got := get(t, c, "parts"); got != string(content("parts", size)) {
		t.Error("another content")
	}
}

// fill takes all space that is left.
func fill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, piece := range []int64{64 << 10, 1} {
		for err == nil {
			_, err = io.Copy(f, bytes.NewReader(make([]byte, piece)))
		}
		err = nil
	}
	return nil
}

// 10,000 small files by S3 and as many by hand are all told, once, within a minute, and an upload of
// 2 GiB is stored with little memory.
func TestMuch(t *testing.T) {
	if testing.Short() || os.Getenv("UNIP_LONG") == "" {
		t.Skip("takes a minute and 5 GiB of disk: make test-dev-long")
	}
	s := open(t, t.TempDir())
	c := client(t, s)
	const n = 10000
	work := make(chan int)
	failed := make(chan error, n)
	for range 16 {
		go func() {
			for i := range work {
				key := fmt.Sprintf("s3/%d/%d", i%100, i)
				_, err := c.Client.PutObject(t.Context(), bucket, key, bytes.NewReader([]byte("x")), 1,
					minio.PutObjectOptions{})
				failed <- err
			}
		}()
	}
	go func() {
		defer close(work)
		for i := range n {
			work <- i
		}
	}()
	for i := range n {
		write(t, filepath.Join(s.Folder(bucket), fmt.Sprintf("hand/%d/%d", i%100, i)), "x")
	}
	for range n {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]int{}
	for len(seen) < 2*n {
		seen[acknowledge(t, s).Key]++
	}
	for key, times := range seen {
		if times != 1 {
			t.Errorf("%s was told %d times", key, times)
		}
	}
	listed := 0
	for o := range c.Client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		listed++
	}
	if listed != 2*n {
		t.Errorf("%d objects are listed", listed)
	}

	const size = 2 << 30
	if _, err := c.Client.PutObject(t.Context(), bucket, "large", io.LimitReader(zeros{}, size), size,
		minio.PutObjectOptions{DisableMultipart: true, SendContentMd5: false}); err != nil {
		t.Fatal(err)
	}
	if o := acknowledge(t, s); o.Key != "large" || o.Size != size {
		t.Errorf("%+v", o)
	}
	r, info, _, err := c.GetObject(t.Context(), bucket, "large", minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.Copy(io.Discard, r); err != nil || got != size || info.Size != size {
		t.Errorf("%d bytes of %d, %v", got, info.Size, err)
	}
	if peak := peakMemory(t); peak > 400<<20 {
		t.Errorf("the process has taken %d MiB", peak>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// peakMemory is the most that this process has held at once.
func peakMemory(t *testing.T) int64 {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	t.Logf("the most memory: %d MiB", usage.Maxrss>>10)
	return usage.Maxrss << 10
}
