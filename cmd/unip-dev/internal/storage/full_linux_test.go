//go:build integration

package storage_test

import (
	"bytes"
	"errors"
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
	expect(t, s, "after")
}

// mount mounts a file system of its own for the test. That needs root, which CI is.
func mount(t *testing.T, kind, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount(kind, dir, kind, 0, options); err != nil {
		if os.Getenv("CI") != "" || !errors.Is(err, unix.EPERM) {
			t.Fatalf("mounting a %s: %v", kind, err)
		}
		t.Skip("only root may mount a file system")
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
	if o := expect(t, s, "one"); o.Size != 7 {
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
