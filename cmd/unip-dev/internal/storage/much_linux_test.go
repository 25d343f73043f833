package storage_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sys/unix"
)

// 10,000 small files by S3 and as many by hand are all told, once, within a minute, and an upload of
// 2 GiB is stored with little memory.
func TestMuch(t *testing.T) {
	if os.Getenv("UNIP_LONG") == "" { // it costs more than it tells each time
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
	if o := expect(t, s, "large"); o.Size != size {
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
