package storage_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox/s3"
)

// What is uploaded is told at once, and once for each version, over restarts as well.
func TestUploadsAreToldOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	c := client(t, s)
	put(t, c, "users/ann/file_groups/g/a", "1")
	first := acknowledge(t, s)
	if first.Bucket != bucket || first.Key != "users/ann/file_groups/g/a" || first.Size != 1 || first.Version == "" {
		t.Errorf("%+v", first)
	}
	put(t, c, "b", "2")
	if o := next(t, s); o.Key != "b" {
		t.Errorf("%+v", o)
	}
	closeServer(t, s) // b is not acknowledged

	s = open(t, dir)
	expect(t, s, "b")
	put(t, client(t, s), "users/ann/file_groups/g/a", "3")
	second := acknowledge(t, s)
	if second.Key != first.Key || second.Version == first.Version {
		t.Errorf("%+v after %+v", second, first)
	}
	closeServer(t, s)

	s = open(t, dir)
	put(t, client(t, s), "last", "4")
	expect(t, s, "last")
}

// Each way by which S3 makes an object tells it; objects of the run bucket are not told.
func TestWaysOfUploads(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	ctx := t.Context()
	if _, err := c.Client.PutObject(ctx, runs, "r", strings.NewReader("x"), 1, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "put", "x")
	expect(t, s, "put")
	if _, err := c.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: bucket, Object: "copy"},
		minio.CopySrcOptions{Bucket: bucket, Object: "put"}); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "copy")
	const size = 11 << 20
	if _, err := c.Client.PutObject(ctx, bucket, "parts", bytes.NewReader(make([]byte, size)), size,
		minio.PutObjectOptions{PartSize: 5 << 20}); err != nil {
		t.Fatal(err)
	}
	if o := expect(t, s, "parts"); o.Size != size {
		t.Errorf("%+v", o)
	}
	link, err := c.PresignedPutObject(ctx, bucket, "link", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := request(t, http.MethodPut, link.String(), "x", nil); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	expect(t, s, "link")
}

// A file that is put into the folder is told when it is whole, not before.
func TestFilesByHand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	group := filepath.Join(s.Folder(bucket), "users/ann/file_groups/g")
	write(t, filepath.Join(group, ".hidden"), "x")
	write(t, filepath.Join(group, ".git/config"), "x")
	write(t, filepath.Join(group, "notes.txt~"), "x")
	write(t, filepath.Join(group, ".notes.txt.swp"), "x")
	write(t, filepath.Join(group, "film.crdownload"), "x")
	write(t, filepath.Join(group, "line\nbreak"), "x")

	f, err := os.Create(filepath.Join(group, "slow"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("half"); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(group, "quick"), "x")
	expect(t, s, "users/ann/file_groups/g/quick")
	if _, err := f.WriteString(" and half"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if o := expect(t, s, "users/ann/file_groups/g/slow"); o.Size != int64(len("half and half")) {
		t.Errorf("%+v", o)
	}

	outside := filepath.Join(t.TempDir(), "folder")
	write(t, filepath.Join(outside, "deep/moved"), "x")
	if err := os.Rename(outside, filepath.Join(s.Folder(bucket), "new")); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "new/deep/moved")

	closeServer(t, s)
	write(t, filepath.Join(group, "meanwhile"), "x")
	s = open(t, dir)
	expect(t, s, "users/ann/file_groups/g/meanwhile")
}

// A box whose folder is removed is an empty one, and a folder may be a link to another disk.
func TestFoldersOfBoxes(t *testing.T) {
	t.Parallel()
	dir, disk := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "boxes"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(disk, filepath.Join(dir, "boxes", boxName)); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(disk, ".sgwtmp/multipart/x/y")
	write(t, filepath.Join(old, "1"), "a part of an upload that nobody has completed")
	if err := os.Chtimes(old, time.Now(), time.Now().Add(-48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	c := client(t, s)
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	write(t, filepath.Join(disk, "a"), "x")
	expect(t, s, "a")
	if err := os.RemoveAll(disk); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := try(t, c, "b", minio.PutObjectOptions{})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	expect(t, s, "b")
	write(t, filepath.Join(disk, "deep/c"), "x")
	expect(t, s, "deep/c")
}

// A file that S3 has stored and somebody has written since has another ETag, no checksum of the old
// content, and is told again.
func TestFilesWrittenOver(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	first := put(t, c, "model", "old")
	acknowledge(t, s)
	write(t, filepath.Join(s.Folder(bucket), "model"), "newer")
	if o := expect(t, s, "model"); o.Size != 5 {
		t.Errorf("%+v", o)
	}
	info, err := c.Client.StatObject(t.Context(), bucket, "model", minio.StatObjectOptions{Checksum: true})
	if err != nil {
		t.Fatal(err)
	}
	if info.ETag == first.ETag || info.ETag == "" || info.ChecksumCRC32C+info.ChecksumCRC64NVME != "" {
		t.Errorf("%+v", info)
	}
	o := minio.GetObjectOptions{}
	if err := o.SetMatchETag(first.ETag); err != nil {
		t.Fatal(err)
	}
	_, _, _, err = c.GetObject(t.Context(), bucket, "model", o)
	if s3.AnswerOf(err) != s3.OtherVersion {
		t.Errorf("If-Match of the old content: %v", err)
	}
	if got := get(t, c, "model"); got != "newer" {
		t.Errorf("%q", got)
	}
}

// A file by hand is told when S3 knows it by its name, whatever that is; others hold up nothing.
func TestNamesOfFilesByHand(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	names := []string{
		"кириллица", "e\u0301", "日本語 表", "a b+c%20#?&=", "-rf", "'q'\"d\"", "$(id)", `a\b`, " lead", "trail ",
		strings.Repeat("x", 255), "\u202egnp", " .. ", `..\x`, `x\..`, " . ", "a:b*c|d", "%2e%2e", "%00", "new\nline",
		"\x1b[2J", "bad\xff", "😀", "sgwtmp", "\u00a0..",
	}
	for _, name := range names {
		write(t, filepath.Join(s.Folder(bucket), "in", name), "x")
	}
	if err := syscall.Mkfifo(filepath.Join(s.Folder(bucket), "in", "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	untold := []string{" .. ", `..\x`, `x\..`, " . ", "new\nline", "\x1b[2J", "bad\xff", "\u00a0.."}
	for range len(names) - len(untold) {
		o := acknowledge(t, s)
		info, err := c.Client.StatObject(t.Context(), bucket, o.Key, minio.StatObjectOptions{})
		if err != nil || info.Size != 1 {
			t.Errorf("%q: %v", o.Key, err)
		}
		name := strings.TrimPrefix(o.Key, "in/")
		if !slices.Contains(names, name) || slices.Contains(untold, name) {
			t.Errorf("%q is told", o.Key)
		}
	}
	write(t, filepath.Join(s.Folder(bucket), "last"), "x")
	expect(t, s, "last")
}
