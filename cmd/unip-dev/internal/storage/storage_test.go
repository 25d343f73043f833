package storage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

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
	return clientOf(t, s.Session(bucket, ""))
}

func clientOf(t testing.TB, s databox.Session) *minio.Core {
	t.Helper()
	c, err := minio.NewCore(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKeyID, s.SecretAccessKey, ""), Region: s.Region, MaxRetries: 1,
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

// try puts an object of one byte, which may be refused.
func try(t testing.TB, c *minio.Core, key string, o minio.PutObjectOptions) error {
	t.Helper()
	_, err := c.Client.PutObject(t.Context(), bucket, key, strings.NewReader("x"), 1, o)
	return err
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

// expect acknowledges the next object, which is the one at the key.
func expect(t testing.TB, s *storage.Server, key string) storage.Object {
	t.Helper()
	o := acknowledge(t, s)
	if o.Key != key {
		t.Errorf("%+v is told, want %q", o, key)
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
