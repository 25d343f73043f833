package storage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/tags"

	"github.com/unip-knative/unip/cmd/unip-dev/internal/storage"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

const (
	boxName = "weights"
	bucket  = "unip-ann-weights-x"
	runs    = "unip-ann-runs-x"
)

// open starts a server in a folder. It ends with the test.
func open(t testing.TB, dir string) *storage.Server {
	t.Helper()
	s, err := storage.Open(t.Context(), storage.Options{
		Dir: dir, Boxes: []storage.Box{{Name: boxName, Bucket: bucket}}, Runs: runs,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeServer(t, s) })
	return s
}

func closeServer(t testing.TB, s *storage.Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func client(t testing.TB, s *storage.Server) *minio.Core {
	t.Helper()
	x := s.Session(bucket, "")
	c, err := minio.NewCore(strings.TrimPrefix(s.Endpoint(), "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(x.AccessKeyID, x.SecretAccessKey, ""), Region: x.Region, MaxRetries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(t testing.TB, c *minio.Core, key, content string) minio.UploadInfo {
	t.Helper()
	u, err := c.Client.PutObject(t.Context(), bucket, key, strings.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	return u
}

func get(t testing.TB, c *minio.Core, key string) string {
	t.Helper()
	o, err := c.Client.GetObject(t.Context(), bucket, key, minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	b, err := io.ReadAll(o)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	return string(b)
}

// next is the next object that is told.
func next(t testing.TB, s *storage.Server) storage.Object {
	t.Helper()
	select {
	case o, ok := <-s.Objects():
		if !ok {
			t.Fatal("the channel is closed")
		}
		return o
	case <-time.After(20 * time.Second):
		t.Fatal("nothing is told")
	}
	return storage.Object{}
}

// acknowledge takes the next object and says that it was dealt with.
func acknowledge(t testing.TB, s *storage.Server) storage.Object {
	t.Helper()
	o := next(t, s)
	if err := s.Done(o); err != nil {
		t.Fatal(err)
	}
	return o
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What S3 stores is a file at its key, below the box's folder, and the other way round.
func TestObjectsAreFiles(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), ".unip"))
	c := client(t, s)
	const key = "users/ann/file_groups/g/модель+1 %41.txt"
	put(t, c, key, "content")
	b, err := os.ReadFile(filepath.Join(s.Folder(bucket), key))
	if err != nil || string(b) != "content" {
		t.Fatalf("%q, %v", b, err)
	}
	write(t, filepath.Join(s.Folder(bucket), "by/hand.txt"), "hand")
	if got := get(t, c, "by/hand.txt"); got != "hand" {
		t.Errorf("%q", got)
	}
	var keys []string
	for o := range c.Client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if o.ETag == "" {
			t.Errorf("%q has no ETag", o.Key)
		}
		keys = append(keys, o.Key)
	}
	if want := []string{"by/hand.txt", key}; !slices.Equal(keys, want) {
		t.Errorf("%q, want %q", keys, want)
	}
}

// A session file of the server is one as the rest of the code reads it.
func TestSessionOpensTheBox(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	b, err := json.Marshal(s.Session(bucket, ""))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), databox.SessionKey)
	write(t, name, string(b))
	box, err := s3.Open(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := box.PutObject(t.Context(), box.Bucket, "k", strings.NewReader("v"), 1,
		minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Keys and folders are nobody else's, and git does not see them.
func TestTheFolderIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), ".unip")
	s := open(t, dir)
	put(t, client(t, s), "a/b", "x")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %s", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, ".gitignore")); err != nil || string(b) != "*\n" {
		t.Errorf("%q, %v", b, err)
	}
	other := open(t, t.TempDir())
	if s.Session(bucket, "").SecretAccessKey == other.Session(bucket, "").SecretAccessKey {
		t.Error("two folders have the same keys")
	}
	x := s.Session(bucket, "")
	if strings.Contains(fmt.Sprintf("%v %+v %#v", x, x, x), x.SecretAccessKey) {
		t.Error("the secret is printed")
	}
}

// Keys, port and what was stored are there again after a restart, so that links live on.
func TestRestartKeepsLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	c := client(t, s)
	put(t, c, "a", "x")
	link, err := c.PresignedGetObject(t.Context(), bucket, "a", time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	closeServer(t, s)
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	if again.Endpoint() != s.Endpoint() {
		t.Fatalf("%s, then %s", s.Endpoint(), again.Endpoint())
	}
	if status, body := request(t, http.MethodGet, link.String(), "", nil); status != http.StatusOK || body != "x" {
		t.Errorf("%d %s", status, body)
	}
}

func request(t testing.TB, method, link, body string, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, link, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// A port that is taken is told with the address; one that is taken since the last time is replaced.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = storage.Open(t.Context(), storage.Options{Dir: t.TempDir(), Address: l.Addr().String()})
	if err == nil || !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("%v", err)
	}

	dir := t.TempDir()
	s := open(t, dir)
	closeServer(t, s)
	taken, err := net.Listen("tcp", strings.TrimPrefix(s.Endpoint(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if again := open(t, dir); again.Endpoint() == s.Endpoint() {
		t.Error("the same port")
	}
}

func TestOnlyLoopback(t *testing.T) {
	t.Parallel()
	for _, address := range []string{":0", "0.0.0.0:0", "198.51.100.1:9000", "example.com:9000", "[::]:0"} {
		if _, err := storage.Open(t.Context(), storage.Options{Dir: t.TempDir(), Address: address}); err == nil ||
			!strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// Two servers never share a folder.
func TestOneServerPerFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := storage.Open(t.Context(), storage.Options{Dir: dir}); err == nil ||
		!strings.Contains(err.Error(), "another unip dev") {
		t.Errorf("%v", err)
	}
	closeServer(t, s)
	open(t, dir)
}

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
	if o := acknowledge(t, s); o.Key != "b" {
		t.Errorf("%+v", o)
	}
	put(t, client(t, s), "users/ann/file_groups/g/a", "3")
	second := acknowledge(t, s)
	if second.Key != first.Key || second.Version == first.Version {
		t.Errorf("%+v after %+v", second, first)
	}
	closeServer(t, s)

	s = open(t, dir)
	put(t, client(t, s), "last", "4")
	if o := acknowledge(t, s); o.Key != "last" {
		t.Errorf("told again: %+v", o)
	}
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
	if o := acknowledge(t, s); o.Key != "put" {
		t.Errorf("%+v", o)
	}
	if _, err := c.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: bucket, Object: "copy"},
		minio.CopySrcOptions{Bucket: bucket, Object: "put"}); err != nil {
		t.Fatal(err)
	}
	if o := acknowledge(t, s); o.Key != "copy" {
		t.Errorf("%+v", o)
	}
	const size = 11 << 20
	if _, err := c.Client.PutObject(ctx, bucket, "parts", bytes.NewReader(make([]byte, size)), size,
		minio.PutObjectOptions{PartSize: 5 << 20}); err != nil {
		t.Fatal(err)
	}
	if o := acknowledge(t, s); o.Key != "parts" || o.Size != size {
		t.Errorf("%+v", o)
	}
	link, err := c.PresignedPutObject(ctx, bucket, "link", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := request(t, http.MethodPut, link.String(), "x", nil); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if o := acknowledge(t, s); o.Key != "link" {
		t.Errorf("%+v", o)
	}
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
	if o := acknowledge(t, s); o.Key != "users/ann/file_groups/g/quick" {
		t.Errorf("%+v", o)
	}
	if _, err := f.WriteString(" and half"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if o := acknowledge(t, s); o.Key != "users/ann/file_groups/g/slow" || o.Size != int64(len("half and half")) {
		t.Errorf("%+v", o)
	}

	outside := filepath.Join(t.TempDir(), "folder")
	write(t, filepath.Join(outside, "deep/moved"), "x")
	if err := os.Rename(outside, filepath.Join(s.Folder(bucket), "new")); err != nil {
		t.Fatal(err)
	}
	if o := acknowledge(t, s); o.Key != "new/deep/moved" {
		t.Errorf("%+v", o)
	}

	closeServer(t, s)
	write(t, filepath.Join(group, "meanwhile"), "x")
	s = open(t, dir)
	if o := acknowledge(t, s); o.Key != "users/ann/file_groups/g/meanwhile" {
		t.Errorf("%+v", o)
	}
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
	if o := acknowledge(t, s); o.Key != "a" {
		t.Errorf("%+v", o)
	}
	if err := os.RemoveAll(disk); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, err := c.Client.PutObject(t.Context(), bucket, "b", strings.NewReader("x"), 1, minio.PutObjectOptions{})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if o := acknowledge(t, s); o.Key != "b" {
		t.Errorf("%+v", o)
	}
	write(t, filepath.Join(disk, "deep/c"), "x")
	if o := acknowledge(t, s); o.Key != "deep/c" {
		t.Errorf("%+v", o)
	}
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
	if o := acknowledge(t, s); o.Key != "model" || o.Size != 5 {
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

// Conditions hold, of writes and of reads of parts.
func TestConditions(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	ctx := t.Context()
	var none minio.PutObjectOptions
	none.SetMatchETagExcept("*")
	create := func() error {
		_, err := c.Client.PutObject(ctx, bucket, "once", strings.NewReader("x"), 1, none)
		return err
	}
	if err := create(); err != nil {
		t.Fatal(err)
	}
	if err := create(); s3.AnswerOf(err) != s3.OtherVersion {
		t.Errorf("made twice: %v", err)
	}
	u := put(t, c, "ranged", "0123456789")
	o := minio.GetObjectOptions{}
	if err := errors.Join(o.SetMatchETag(u.ETag), o.SetRange(2, 4)); err != nil {
		t.Fatal(err)
	}
	r, info, _, err := c.GetObject(ctx, bucket, "ranged", o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "234" || info.Size != 3 {
		t.Errorf("%q, %+v, %v", b, info, err)
	}
	put(t, c, "ranged", "abcdefghij")
	if _, _, _, err := c.GetObject(ctx, bucket, "ranged", o); s3.AnswerOf(err) != s3.OtherVersion {
		t.Errorf("the old version: %v", err)
	}
	match := minio.PutObjectOptions{}
	match.SetMatchETag(u.ETag)
	if _, err := c.Client.PutObject(ctx, bucket, "ranged", strings.NewReader("x"), 1, match); s3.AnswerOf(err) !=
		s3.OtherVersion {
		t.Errorf("written over another version: %v", err)
	}
	// Of many that make an object, one does.
	results := make(chan error, 16)
	for range cap(results) {
		go func() {
			_, err := c.Client.PutObject(ctx, bucket, "race", strings.NewReader("x"), 1, none)
			results <- err
		}()
	}
	made := 0
	for range cap(results) {
		if err := <-results; err == nil {
			made++
		} else if s3.AnswerOf(err) != s3.OtherVersion {
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("made %d times", made)
	}
}

// Copies take content, type, metadata and tags along, within a bucket and between two, and on
// condition.
func TestCopies(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	ctx := t.Context()
	content := bytes.Repeat([]byte("0123456789abcdef"), 400<<10) // 6.25 MiB
	u, err := c.Client.PutObject(ctx, bucket, "a b/+%41.bin", bytes.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{
			ContentType: "application/x-test", UserMetadata: map[string]string{"Unip-Of": "run"},
			UserTags: map[string]string{"run": "r-1 +=:/"},
		})
	if err != nil {
		t.Fatal(err)
	}
	source := minio.CopySrcOptions{Bucket: bucket, Object: "a b/+%41.bin", MatchETag: u.ETag}
	if _, err := c.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: runs, Object: "copy"}, source); err != nil {
		t.Fatal(err)
	}
	info, err := c.Client.StatObject(ctx, runs, "copy", minio.StatObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if info.Size != int64(len(content)) || info.ContentType != "application/x-test" || info.ETag == "" ||
		info.UserMetadata["Unip-Of"] != "run" {
		t.Errorf("%+v", info)
	}
	got, err := c.GetObjectTagging(ctx, runs, "copy", minio.GetObjectTaggingOptions{})
	if err != nil || got.ToMap()["run"] != "r-1 +=:/" {
		t.Errorf("%v, %v", got, err)
	}
	// Another type and other tags.
	if _, err := c.Client.CopyObject(ctx, minio.CopyDestOptions{
		Bucket: runs, Object: "other", ReplaceMetadata: true, UserMetadata: map[string]string{"Content-Type": "text/x"},
		ReplaceTags: true, UserTags: map[string]string{"k": "v"},
	}, source); err != nil {
		t.Fatal(err)
	}
	if info, err = c.Client.StatObject(ctx, runs, "other", minio.StatObjectOptions{}); err != nil ||
		info.ContentType != "text/x" || info.UserMetadata["Unip-Of"] != "" {
		t.Errorf("%+v, %v", info, err)
	}
	// Several sources, parts of them too.
	first, second := source, source
	first.MatchRange, first.Start, first.End = true, 0, 6<<20-1
	second.MatchRange, second.Start, second.End = true, 3, 5
	if _, err := c.Client.ComposeObject(ctx, minio.CopyDestOptions{Bucket: bucket, Object: "composed"}, first,
		second); err != nil {
		t.Fatal(err)
	}
	if want := string(content[:6<<20]) + "345"; get(t, c, "composed") != want {
		t.Error("another content")
	}
	// A source that has changed, that there is not, and that lies in no bucket.
	source.MatchETag = strings.Repeat("0", 32)
	if _, err := c.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: runs, Object: "x"}, source); s3.AnswerOf(err) !=
		s3.OtherVersion {
		t.Errorf("%v", err)
	}
	for _, source := range []minio.CopySrcOptions{
		{Bucket: bucket, Object: "missing"}, {Bucket: "unip-other", Object: "a"},
	} {
		_, err := c.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: runs, Object: "x"}, source)
		if !s3.IsMissing(err) {
			t.Errorf("%v", err)
		}
	}
}

// Tags of buckets and objects, and the deletion of many objects at once.
func TestTagsAndDeletions(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	ctx := t.Context()
	want := databox.Owner{Namespace: "ann", NamespaceUID: "u", Box: boxName}.Tags()
	x, err := tags.MapToBucketTags(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetBucketTagging(ctx, bucket, x); err != nil {
		t.Fatal(err)
	}
	if got, err := c.GetBucketTagging(ctx, bucket); err != nil || !maps.Equal(got.ToMap(), want) {
		t.Errorf("%v, %v", got, err)
	}
	const n = 1500 // more than one request takes
	names := make(chan minio.ObjectInfo)
	go func() {
		defer close(names)
		for i := range n {
			names <- minio.ObjectInfo{Key: fmt.Sprintf("many/%d", i)}
		}
	}()
	for i := range n {
		write(t, filepath.Join(s.Folder(bucket), fmt.Sprintf("many/%d", i)), "x")
	}
	kept := 0
	for o := range c.Client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if o.Err != nil || !o.IsLatest {
			t.Fatalf("%+v", o)
		}
		kept++
	}
	if kept != n {
		t.Errorf("%d versions", kept)
	}
	for e := range c.RemoveObjects(ctx, bucket, names, minio.RemoveObjectsOptions{}) {
		t.Error(e)
	}
	if _, err := os.Stat(filepath.Join(s.Folder(bucket), "many")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the empty folder stays: %v", err)
	}
	if err := c.RemoveObject(ctx, bucket, "missing", minio.RemoveObjectOptions{}); err != nil {
		t.Error(err)
	}
}

// A listing goes on where it ended, by the server's own tokens only.
func TestListings(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	var want, got []string
	for i := range 7 {
		key := fmt.Sprintf("dir/%d +%%41", i)
		write(t, filepath.Join(s.Folder(bucket), key), "x")
		want = append(want, key)
	}
	for token := ""; ; {
		page, err := c.ListObjectsV2(bucket, "dir/", "", token, "/", 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			got = append(got, o.Key)
		}
		if token = page.NextContinuationToken; !page.IsTruncated {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, token := range []string{"AAAA", "!", "dir/3"} {
		if _, err := c.ListObjectsV2(bucket, "", "", token, "", 3); minio.ToErrorResponse(err).StatusCode !=
			http.StatusBadRequest {
			t.Errorf("token %q: %v", token, err)
		}
	}
}

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
	if _, err := c.Client.PutObject(ctx, bucket, "folder/new", strings.NewReader("x"), 1,
		minio.PutObjectOptions{}); err == nil {
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
	x := s.Session(bucket, "")
	creds := credentials.NewStaticV4(x.AccessKeyID, x.SecretAccessKey, "")
	c, err := minio.NewCore(strings.TrimPrefix(s.Endpoint(), "http://"), &minio.Options{Creds: creds, Region: x.Region})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"a//b", "a/./b", "a/../b", "../x", `a\..\b`, "a/.. /b", "a\x01b", ".sgwtmp/multipart/x", "a/.sgwtmp/x",
		strings.Repeat("n", 256), "a/" + strings.Repeat("n", 300),
	} {
		_, err := c.Client.PutObject(t.Context(), bucket, key, strings.NewReader("x"), 1, minio.PutObjectOptions{})
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
		_, err := c.Client.PutObject(t.Context(), bucket, key, strings.NewReader("x"), 1, minio.PutObjectOptions{})
		status := minio.ToErrorResponse(err).StatusCode
		if status != http.StatusBadRequest && status != http.StatusConflict {
			t.Errorf("%q: %v", key, err)
		}
	}
}

// Buckets that clients make are their own, and the module's cannot be deleted.
func TestBuckets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	c := client(t, s)
	ctx := context.Background()
	if err := c.MakeBucket(ctx, "made", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.MakeBucket(ctx, "made", minio.MakeBucketOptions{}); minio.ToErrorResponse(err).StatusCode !=
		http.StatusConflict {
		t.Errorf("%v", err)
	}
	if err := c.RemoveBucket(ctx, bucket); err == nil {
		t.Error("a box was deleted")
	}
	closeServer(t, s)
	s = open(t, dir)
	c = client(t, s)
	all, err := c.ListBuckets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range all {
		names = append(names, b.Name)
	}
	if want := []string{"made", runs, bucket}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	if err := c.RemoveBucket(ctx, "made"); err != nil {
		t.Error(err)
	}
	if there, err := c.BucketExists(ctx, "made"); err != nil || there {
		t.Errorf("%v, %v", there, err)
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
	if o := acknowledge(t, s); o.Key != "last" {
		t.Errorf("%q is told", o.Key)
	}
}

// Whoever works in a folder learns that it has gone, or that it is another one now.
func TestTheFolderHasGone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	s := open(t, dir)
	lost := make(chan error, 1)
	go func() { lost <- s.Lost(t.Context()) }()
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if err := <-lost; err == nil || !strings.Contains(err.Error(), "was removed meanwhile") {
		t.Error(err)
	}
}
