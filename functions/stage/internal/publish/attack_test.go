//go:build integration

package publish_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

// inTime fails the test when attempt waits for something that never comes.
func inTime(t *testing.T, attempt func() error) error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- attempt() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(2 * time.Minute):
		t.Fatal("it waits for what never comes")
		return nil
	}
}

func (w world) nothingIn(t *testing.T, bucket string) {
	t.Helper()
	for o := range w.ListObjects(context.Background(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		t.Errorf("published: %s %v", o.Key, o.Err)
	}
}

// The user's container may write anywhere in the volume, so it may replace its output's folder
// itself. What lies behind a link there (the sessions of publish, say) is not taken, and nothing
// makes publish wait.
func TestNothingButAFolderIsTaken(t *testing.T) {
	t.Parallel()
	s3 := newWorld(t)
	secret := tree(t, map[string]string{"session.json": "the session"})
	for name, c := range map[string]struct {
		put  func(folder string) error
		want string
	}{
		"absolute link to the sessions": {func(f string) error { return os.Symlink(secret, f) },
			`"model" is a symbolic link`},
		"relative link to the sessions": {func(f string) error {
			to, err := filepath.Rel(filepath.Dir(f), secret)
			if err != nil {
				return err
			}
			return os.Symlink(to, f)
		}, `"model" is a symbolic link`},
		"link to another variable": {func(f string) error {
			if err := os.Mkdir(f+"2", 0o755); err != nil {
				return err
			}
			return os.Symlink("model2", f)
		}, `"model" is a symbolic link`},
		"link to the volume": {func(f string) error { return os.Symlink(".", f) }, `"model" is a symbolic link`},
		"link to the root": {func(f string) error { return os.Symlink("/proc/self/root", f) },
			`"model" is a symbolic link`},
		"dangling link": {func(f string) error { return os.Symlink("nowhere", f) }, `"model" is a symbolic link`},
		"named pipe":    {func(f string) error { return syscall.Mkfifo(f, 0o666) }, `"model" is a named pipe`},
		"socket": {func(f string) error {
			l, err := net.Listen("unix", f)
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		}, `"model" is a socket`},
		"file":    {func(f string) error { return os.WriteFile(f, nil, 0o600) }, `"model" is a file`},
		"nothing": {func(string) error { return nil }, `"model" is gone`},
	} {
		t.Run(name, func(t *testing.T) {
			bucket := s3.Bucket(t)
			dir := tree(t, nil)
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
			if err := c.put(dir); err != nil {
				t.Fatal(err)
			}
			err := inTime(t, func() error {
				_, err := s3.publish(t, dir, plan(bucket, 1))
				return err
			})
			if err == nil || !strings.Contains(err.Error(), c.want) || storage.Retry(err) {
				t.Errorf("error %v, want a permanent one with %s", err, c.want)
			}
			s3.nothingIn(t, bucket)
		})
	}
}

// A file that the file API could not serve is refused by its name, escaped, once and for all.
func TestNamesThatNobodyCouldReadAreRefused(t *testing.T) {
	t.Parallel()
	s3 := newWorld(t)
	long := strings.Repeat("x", 200) + "/" + strings.Repeat("y", 200) + "/"
	for name, want := range map[string]string{
		"a\nb":        `"a\nb"`,
		"\x1b[2Jboo":  `"\x1b[2Jboo"`,
		"dir\rx/f":    `"dir\rx/f"`,
		"\xff\xfe":    `"\xff\xfe"`,
		"del\x7f":     `"del\x7f"`,
		"c1\u009b":    `"c1\u009b"`,
		long + "file": "longer than",
	} {
		bucket, box := s3.Bucket(t), s3.Bucket(t)
		dir := tree(t, map[string]string{"good": "1", name: "1"})
		to := stage.Folder{Bucket: box, Prefix: "users/ann/file_groups/" + strings.Repeat("p",
			250) + "/" + strings.Repeat("q", 250) + "/"}
		_, err := s3.publish(t, dir, plan(bucket, 1, to))
		if err == nil || !strings.Contains(err.Error(), want) || storage.Retry(err) {
			t.Errorf("%q: error %v, want a permanent one with %s", name, err, want)
		}
		s3.nothingIn(t, bucket)
		s3.nothingIn(t, box)
	}
	// What nobody could read by the file API is no copy in somebody's files either.
	for _, prefix := range []string{"users/", "users/ann/", "users/ann/other/"} {
		bucket, box := s3.Bucket(t), s3.Bucket(t)
		_, err := s3.publish(t, tree(t, map[string]string{"f": "1"}),
			plan(bucket, 1, stage.Folder{Bucket: box, Prefix: prefix}))
		if err == nil || storage.Retry(err) {
			t.Errorf("a copy to %s: %v", prefix, err)
		}
		s3.nothingIn(t, box)
	}
}

// Fetch comes before the user's container; it opens nothing blindly all the same.
func TestFetchOpensNothingBlindly(t *testing.T) {
	t.Parallel()
	s3 := newWorld(t)
	bucket := s3.Bucket(t)
	s3.Put(t, bucket, "in/f", "content")
	outside := tree(t, map[string]string{"f": "theirs"})
	for name, c := range map[string]struct {
		put  func(volume string) error
		plan *stage.FetchPlan
	}{
		"input's folder is a link": {func(v string) error { return os.Symlink(outside, filepath.Join(v, "x")) },
			input(bucket)},
		"input's folder is a pipe": {func(v string) error { return syscall.Mkfifo(filepath.Join(v, "x"), 0o666) },
			input(bucket)},
		"output's folder is a link": {func(v string) error { return os.Symlink(outside, filepath.Join(v, "x")) },
			&stage.FetchPlan{Outputs: []string{"x"}}},
		"output's folder is a pipe": {func(v string) error { return syscall.Mkfifo(filepath.Join(v, "x"), 0o666) },
			&stage.FetchPlan{Outputs: []string{"x"}}},
		"the file is a pipe": {func(v string) error {
			if err := os.Mkdir(filepath.Join(v, "x"), 0o755); err != nil {
				return err
			}
			return syscall.Mkfifo(filepath.Join(v, "x", "f"), 0o666)
		}, input(bucket)},
		"the file is a link": {func(v string) error {
			if err := os.Mkdir(filepath.Join(v, "x"), 0o755); err != nil {
				return err
			}
			return os.Symlink(filepath.Join(outside, "f"), filepath.Join(v, "x", "f"))
		}, input(bucket)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := c.put(dir); err != nil {
				t.Fatal(err)
			}
			if err := inTime(t, func() error { return s3.fetchInto(t, dir, c.plan) }); err == nil {
				t.Error("it was taken")
			}
			if b, err := os.ReadFile(filepath.Join(outside, "f")); err != nil || string(b) != "theirs" {
				t.Errorf("a file outside became %q %v", b, err)
			}
			if i, err := os.Stat(outside); err != nil || i.Mode().Perm() != 0o755 {
				t.Errorf("a folder outside became %v %v", i, err)
			}
		})
	}
}

func input(bucket string) *stage.FetchPlan {
	return &stage.FetchPlan{Inputs: []stage.Input{{Name: "x", Session: "all.json", Bucket: bucket, Key: "in/f"}}}
}
