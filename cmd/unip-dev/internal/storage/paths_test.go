package storage_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox/s3"
)

// A presigned link writes one object, and nothing that a header makes of it.
func TestLinksCannotCopy(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	put(t, c, "secret", "s")
	link, err := c.PresignedPutObject(t.Context(), bucket, "users/bob/file_groups/g/x", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	status, _ := request(t, http.MethodPut, link.String(), "", http.Header{"X-Amz-Copy-Source": {bucket + "/secret"}})
	if status != http.StatusForbidden {
		t.Errorf("copy by a link: %d", status)
	}
	u, err := url.Parse(link.String())
	if err != nil {
		t.Fatal(err)
	}
	u.Path = strings.Replace(u.Path, "bob", "ann", 1)
	if status, _ := request(t, http.MethodPut, u.String(), "x", nil); status != http.StatusForbidden {
		t.Errorf("another key: %d", status)
	}
	for method, key := range map[string]string{http.MethodGet: "secret", http.MethodPut: "x"} {
		status, _ := request(t, method, s.Endpoint()+"/"+bucket+"/"+key, "x", nil)
		if status != http.StatusForbidden {
			t.Errorf("%s without a key: %d", method, status)
		}
	}
	old, err := c.PresignedGetObject(t.Context(), bucket, "secret", time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		status, _ := request(t, http.MethodGet, old.String(), "", nil)
		if status == http.StatusForbidden {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a link that is over: %d", status)
		}
	}
}

// Links and special files are no objects, and nothing is reached through them.
func TestNothingIsFollowed(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	ctx := t.Context()
	folder := s.Folder(bucket)
	outside := t.TempDir()
	write(t, filepath.Join(outside, "secret"), "s")
	for name, target := range map[string]string{
		"link": filepath.Join(outside, "secret"), "folder": outside, "up": "..",
	} {
		if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(folder, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"link", "folder/secret", "up/storage/keys.json", "fifo"} {
		if _, _, _, err := c.GetObject(ctx, bucket, key, minio.GetObjectOptions{}); !s3.IsMissing(err) {
			t.Errorf("get %s: %v", key, err)
		}
		if _, err := c.Client.StatObject(ctx, bucket, key, minio.StatObjectOptions{}); !s3.IsMissing(err) {
			t.Errorf("stat %s: %v", key, err)
		}
		if _, err := c.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: bucket, Object: "copied"},
			minio.CopySrcOptions{Bucket: bucket, Object: key}); !s3.IsMissing(err) {
			t.Errorf("copy %s: %v", key, err)
		}
	}
	if err := try(t, c, "folder/new", minio.PutObjectOptions{}); err == nil {
		t.Error("written through a link")
	}
	for _, key := range []string{"link", "folder/secret"} {
		if err := c.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{}); err != nil {
			t.Errorf("remove %s: %v", key, err)
		}
	}
	if _, err := os.Stat(filepath.Join(outside, "secret")); err != nil {
		t.Error(err)
	}
	for _, prefix := range []string{"", "folder/", "up/", "up/storage/", "../", "./", "/", `up\..\`} {
		for o := range c.Client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
			if minio.ToErrorResponse(o.Err).StatusCode != http.StatusBadRequest {
				t.Errorf("prefix %q: %q, %v", prefix, o.Key, o.Err)
			}
		}
	}
}

// Keys that a file system would change, or keep no file of, are refused as a request that cannot be
// met.
func TestKeysThatAreNoPaths(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	for _, key := range []string{
		"a//b", "a/./b", "a/../b", "../x", `a\..\b`, "a/.. /b", "a\x01b", ".sgwtmp/multipart/x", "a/.sgwtmp/x",
		strings.Repeat("n", 256), "a/" + strings.Repeat("n", 300),
	} {
		err := try(t, c, key, minio.PutObjectOptions{})
		if err == nil {
			t.Errorf("%q is taken", key)
		}
		if status := minio.ToErrorResponse(err).StatusCode; status >= 500 {
			t.Errorf("%q: %v", key, err)
		}
	}
	// A file is no folder, and a folder no file. S3 would take both.
	put(t, c, "file", "x")
	put(t, c, "folder/in", "x")
	for _, key := range []string{"file/in", "folder"} {
		err := try(t, c, key, minio.PutObjectOptions{})
		status := minio.ToErrorResponse(err).StatusCode
		if status != http.StatusBadRequest && status != http.StatusConflict {
			t.Errorf("%q: %v", key, err)
		}
	}
}
