package storage_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/cmd/unip-dev/internal/storage"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// alone is set in a process of its own that is a server, of the folder that it names.
const alone = "UNIP_TEST_STORAGE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(alone); dir != "" {
		if err := serveAlone(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// told is a line of such a process: at first its session, then the objects that it acknowledged.
type told struct {
	Session *databox.Session `json:",omitempty"`
	Object  *storage.Object  `json:",omitempty"`
}

func serveAlone(dir string) error {
	s, err := storage.Open(context.Background(), storage.Options{
		Dir: dir, Boxes: []storage.Box{{Name: boxName, Bucket: bucket}},
	})
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	session := s.Session(bucket, "")
	if err := out.Encode(told{Session: &session}); err != nil {
		return err
	}
	for o := range s.Objects() {
		if err := s.Done(o); err != nil {
			return err
		}
		if err := out.Encode(told{Object: &o}); err != nil {
			return err
		}
	}
	return nil
}

// process is a server that can be killed.
type process struct {
	*exec.Cmd
	session databox.Session
	objects chan storage.Object // closed when the process has ended
}

func startAlone(t testing.TB, dir string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(self), objects: make(chan storage.Object, 10000)}
	p.Env = append(os.Environ(), alone+"="+dir)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	lines := json.NewDecoder(bufio.NewReader(out))
	var first told
	if err := lines.Decode(&first); err != nil || first.Session == nil {
		t.Fatalf("the server does not start: %v", err)
	}
	p.session = *first.Session
	go func() {
		defer close(p.objects)
		for {
			var next told
			if lines.Decode(&next) != nil || next.Object == nil {
				return // a line may be cut
			}
			p.objects <- *next.Object
		}
	}()
	return p
}

// kill ends the process at once, and gives what it had acknowledged.
func (p *process) kill() []storage.Object {
	_ = p.Process.Kill()
	var all []storage.Object
	for o := range p.objects {
		all = append(all, o)
	}
	_ = p.Wait()
	return all
}

// content is what lies at a key, and at no other.
func content(key string, size int) []byte {
	return bytes.Repeat([]byte(key+"\n"), size/(len(key)+1)+1)[:size]
}

// A server that is killed in the middle of uploads has every one whole that it has answered, no half
// one, and tells each: before it was killed, or when it is started again.
func TestKilledDuringUploads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var mu sync.Mutex
	answered, acknowledged := map[string]bool{}, map[string]int{}
	sizes := map[string]int{}
	for round := range 3 {
		p := startAlone(t, dir)
		c := clientOf(t, p.session)
		ctx, stop := context.WithCancel(t.Context())
		var work sync.WaitGroup
		for worker := range 8 {
			work.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					key := fmt.Sprintf("users/ann/file_groups/%d/%d-%d", round, worker, i)
					size := 100 + 1000*i
					if worker == 0 {
						size = 11 << 20 // in parts
					}
					mu.Lock()
					sizes[key] = size
					mu.Unlock()
					_, err := c.Client.PutObject(ctx, bucket, key, bytes.NewReader(content(key, size)), int64(size),
						minio.PutObjectOptions{PartSize: 5 << 20})
					if err != nil {
						return
					}
					mu.Lock()
					answered[key] = true
					mu.Unlock()
				}
			})
		}
		for range 20 {
			select {
			case o := <-p.objects:
				acknowledged[o.Key]++
			case <-time.After(20 * time.Second):
				t.Fatal("nothing is told")
			}
		}
		for _, o := range p.kill() {
			acknowledged[o.Key]++
		}
		stop()
		work.Wait()
	}
	s := open(t, dir)
	c := client(t, s)
	there := map[string]bool{}
	for o := range c.Client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		there[o.Key] = true
		if got := get(t, c, o.Key); got != string(content(o.Key, sizes[o.Key])) {
			t.Errorf("%s: %d bytes of %d, or others", o.Key, len(got), sizes[o.Key])
		}
	}
	for key := range answered {
		if !there[key] {
			t.Errorf("%s was answered, and is not there", key)
		}
	}
	for len(acknowledged) < len(there) {
		acknowledged[acknowledge(t, s).Key]++
	}
	for key, n := range acknowledged {
		if n > 1 || !there[key] {
			t.Errorf("%s was told %d times; there: %v", key, n, there[key])
		}
	}
	if len(answered) < 60 {
		t.Errorf("only %d uploads", len(answered))
	}
}

// An upload whose client goes away is no object.
func TestBrokenUpload(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	link, err := c.PresignedPutObject(t.Context(), bucket, "half", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []int{1, 4096, 1 << 20} {
		broken(t, link, part)
	}
	put(t, c, "after", "x") // the server has seen the end of the others, or will
	expect(t, s, "after")
	if _, err := c.Client.StatObject(t.Context(), bucket, "half", minio.StatObjectOptions{}); !s3.IsMissing(err) {
		t.Errorf("half an upload is an object: %v", err)
	}
}

// broken sends the first bytes of an upload of 2 MiB, and waits until the server ends the
// connection.
func broken(t *testing.T, link *url.URL, part int) {
	t.Helper()
	conn, err := net.Dial("tcp", link.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s",
		link.RequestURI(), link.Host, 2<<20, strings.Repeat("x", part)); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("%d bytes of an upload: %s", part, resp.Status)
		}
		_, err = io.Copy(io.Discard, conn)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the server waits for ever")
	}
}
