//go:build integration

package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/eventing/databox/miniotest"

	"github.com/unip-knative/unip/eventing/databox"
)

// open is a box of the server, reached through endpoint.
func open(t testing.TB, endpoint, bucket string) *Box {
	t.Helper()
	s := databox.Session{Endpoint: endpoint, Region: "us-east-1", Bucket: bucket}
	c, err := NewClient(s, credentials.NewStaticV4(miniotest.AccessKey, miniotest.SecretKey, ""))
	if err != nil {
		t.Fatal(err)
	}
	return &Box{Client: c, Bucket: bucket}
}

// noise is content that no wrong order of ranges leaves as it is.
func noise(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1}), size)
}

func put(t testing.TB, b *Box, key string, size int64, opts minio.PutObjectOptions) Object {
	t.Helper()
	c, err := minio.New(b.EndpointURL().Host, &minio.Options{
		// without them there are no checksums
		Creds: credentials.NewStaticV4(miniotest.AccessKey, miniotest.SecretKey, ""), Region: "us-east-1",
		TrailingHeaders: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutObject(context.Background(), b.Bucket, key, noise(size), size, opts); err != nil {
		t.Fatal(err)
	}
	o, err := b.Stat(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func same(t *testing.T, path string, size int64) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(noise(size))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came otherwise than %d bytes went: %v", len(got), len(want), err)
	}
}

func TestDownload(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	b := open(t, s.Endpoint, s.Bucket(t))
	all := []int64{0, 1, rangeSize, rangeSize + 1}
	for name, opts := range map[string]minio.PutObjectOptions{
		"plain": {}, "parts": {PartSize: 5 << 20}, "whole checksum": {Checksum: minio.ChecksumFullObjectCRC32C,
			PartSize: 5 << 20}, "sha256": {Checksum: minio.ChecksumSHA256, PartSize: 5 << 30},
	} {
		for _, size := range map[string][]int64{"plain": {3*rangeSize + 7, rangeSize - 1}, "parts": {rangeSize + 1},
			"whole checksum": all, "sha256": all}[name] {
			o := put(t, b, "k", size, opts)
			path := filepath.Join(t.TempDir(), "f")
			if err := b.Download(t.Context(), o, path); err != nil {
				t.Fatalf("%s, %d bytes: %v", name, size, err)
			}
			same(t, path, size)
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o644 {
				t.Errorf("%v %v", info.Mode(), err)
			}
		}
	}
}

// between is a proxy before the server that spoils answers.
func between(t testing.TB, s *miniotest.Server, spoil func(*http.Response) error) string {
	t.Helper()
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &httputil.ReverseProxy{ModifyResponse: spoil, ErrorHandler: func(http.ResponseWriter, *http.Request,
		error) {
		panic(http.ErrAbortHandler)
	},
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u); r.Out.Host = r.In.Host }} // the host is signed
	srv := &http.Server{Handler: p, ErrorLog: nil}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close() })
	return "http://" + l.Addr().String()
}

// broken is a body that breaks off.
type broken struct {
	io.Reader
	io.Closer
}

func TestDownloadGoesOnWhereItBrokeOff(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	bucket := s.Bucket(t)
	const size = 2*rangeSize + 5
	o := put(t, open(t, s.Endpoint, bucket), "k", size,
		minio.PutObjectOptions{Checksum: minio.ChecksumFullObjectCRC32C})
	var answers, bytes atomic.Int64
	endpoint := between(t, s, func(r *http.Response) error {
		if r.Request.Method != http.MethodGet || r.Header.Get("Etag") == "" {
			return nil
		}
		bytes.Add(r.ContentLength)
		if answers.Add(1) <= 6 { // of three ranges, two each
			r.Body = broken{io.LimitReader(r.Body, r.ContentLength/2), r.Body}
		}
		return nil
	})
	path := filepath.Join(t.TempDir(), "f")
	if err := open(t, endpoint, bucket).Download(t.Context(), o, path); err != nil {
		t.Fatal(err)
	}
	same(t, path, size)
	if n := bytes.Load(); n > 2*size {
		t.Errorf("%d bytes were asked for to get %d", n, size)
	}
}

func TestDownloadThatFails(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	bucket := s.Bucket(t)
	direct := open(t, s.Endpoint, bucket)
	small := put(t, direct, "small", 1000, minio.PutObjectOptions{Checksum: minio.ChecksumCRC32C})
	large := put(t, direct, "large", 2*rangeSize, minio.PutObjectOptions{Checksum: minio.ChecksumFullObjectCRC32C,
		PartSize: 5 << 20})
	flip := between(t, s, func(r *http.Response) error {
		if r.Request.Method == http.MethodGet {
			r.Body = broken{io.MultiReader(strings.NewReader("X"), skip(r.Body)), r.Body}
		}
		return nil
	})
	var tried atomic.Int64
	silent := between(t, s, func(r *http.Response) error {
		if r.Request.Method == http.MethodGet && r.Header.Get("Etag") != "" {
			tried.Add(1)
			r.Body = broken{io.LimitReader(r.Body, 0), r.Body}
		}
		return nil
	})
	other, gone := small, small
	other.ETag, gone.Key = "0123456789abcdef0123456789abcdef", "nothing"
	for name, x := range map[string]struct {
		box    *Box
		object Object
		is     error
	}{
		"a changed byte":                    {open(t, flip, bucket), small, ErrCorrupt},
		"a changed byte of a large one":     {open(t, flip, bucket), large, ErrCorrupt},
		"another version":                   {direct, other, ErrChanged},
		"another version of a large one":    {direct, Object{"large", other.ETag, large.Size}, ErrChanged},
		"a connection that always ends":     {open(t, silent, bucket), small, io.ErrUnexpectedEOF},
		"no such object":                    {direct, gone, nil},
		"no such object, and it were large": {direct, Object{"nothing", other.ETag, large.Size}, nil},
	} {
		dir := t.TempDir()
		err := x.box.Download(t.Context(), x.object, filepath.Join(dir, "f"))
		if err == nil || x.is != nil && !errors.Is(err, x.is) || x.is == nil && !IsMissing(err) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", name, left, err)
		}
	}
	if n := tried.Load(); n != tries {
		t.Errorf("tried %d times, not %d", n, tries)
	}
}

func skip(r io.Reader) io.Reader {
	_, _ = io.CopyN(io.Discard, r, 1) // a body that is shorter stays empty
	return r
}

// Many transfers share the requests of one group, and each tells once that its file is no longer
// used, whatever comes of it. What somebody has announced counts more than what the storage knows.
func TestTransfers(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	b := open(t, s.Endpoint, s.Bucket(t))
	const large = 2*rangeSize + 3
	content, err := io.ReadAll(noise(large))
	if err != nil {
		t.Fatal(err)
	}
	sum := func(n int) string { return fmt.Sprintf("%x", sha256.Sum256(content[:n])) }
	one := put(t, b, "one", 10, minio.PutObjectOptions{})
	two := put(t, b, "two", large, minio.PutObjectOptions{PartSize: 5 << 20})
	none := put(t, b, "none", 0, minio.PutObjectOptions{})
	loose, other := one, one
	loose.ETag, other.Size = "", 9
	for name, x := range map[string]struct {
		objects []Object
		sha256  string
		want    error
	}{
		"all":                   {objects: []Object{one, two, none, loose}},
		"announced":             {objects: []Object{two}, sha256: sum(large)},
		"announced, small":      {objects: []Object{loose}, sha256: sum(10)},
		"another content":       {objects: []Object{two}, sha256: sum(10), want: ErrCorrupt},
		"another content of no": {objects: []Object{none}, sha256: sum(10), want: ErrCorrupt},
		"another size":          {objects: []Object{other, two}, want: ErrChanged},
	} {
		g, ctx := errgroup.WithContext(t.Context())
		g.SetLimit(2)
		var done atomic.Int64
		var paths []string
		for i, o := range x.objects {
			f, err := os.Create(filepath.Join(t.TempDir(), fmt.Sprint(i)))
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, f.Name())
			(&Transfer{Bucket: b.Bucket, Object: o, SHA256: x.sha256, File: f, Requests: b.requests,
				Done: func() error {
					done.Add(1)
					return f.Close() // twice is an error
				}}).Start(ctx, g)
		}
		if err := g.Wait(); !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", name, err, x.want)
		}
		if n := int(done.Load()); n != len(x.objects) {
			t.Errorf("%s: %d of %d files are done with", name, n, len(x.objects))
		}
		for i, o := range x.objects {
			if x.want == nil {
				same(t, paths[i], o.Size)
			}
		}
	}
}

// A disk that is full is said to be that, at once.
func TestDownloadOntoAFullDisk(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	b := open(t, s.Endpoint, s.Bucket(t))
	o := put(t, b, "k", 3*rangeSize, minio.PutObjectOptions{})
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := b.transfer(t.Context(), o, full, ranges); !errors.Is(err, syscall.ENOSPC) || !final(err) {
		t.Errorf("%v", err)
	}
}

// paced is a body of a connection that is no faster than a stream of a large S3 service.
type paced struct {
	io.ReadCloser
	began time.Time
	read  int64
}

const pace = 64 << 20 // bytes a second

func (p *paced) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	p.read += int64(n)
	time.Sleep(time.Until(p.began.Add(time.Duration(p.read) * time.Second / pace)))
	return n, err
}

// BenchmarkDownloadSlowConnections brings 256 MiB through connections of 64 MiB/s each.
func BenchmarkDownloadSlowConnections(b *testing.B) {
	s := miniotest.Start(b)
	bucket := s.Bucket(b)
	const size = 256 << 20
	o := put(b, open(b, s.Endpoint, bucket), "k", size, minio.PutObjectOptions{PartSize: 64 << 20})
	endpoint := between(b, s, func(r *http.Response) error {
		r.Body = &paced{ReadCloser: r.Body, began: time.Now()}
		return nil
	})
	benchmark(b, open(b, endpoint, bucket), o)
}

// BenchmarkDownload brings 256 MiB from a server on this machine: `go test -tags integration -run -
// -bench Download -benchtime 3x ./eventing/databox/s3`.
func BenchmarkDownload(b *testing.B) {
	s := miniotest.Start(b)
	box := open(b, s.Endpoint, s.Bucket(b))
	const size = 256 << 20
	o := put(b, box, "k", size, minio.PutObjectOptions{PartSize: 64 << 20})
	benchmark(b, box, o)
}

func benchmark(b *testing.B, box *Box, o Object) {
	for _, parallel := range []int{1, 2, 4, 8, 16} {
		b.Run(fmt.Sprintf("ranges=%d", parallel), func(b *testing.B) {
			b.SetBytes(o.Size)
			path := filepath.Join(b.TempDir(), "f")
			for b.Loop() {
				if err := box.download(b.Context(), o, path, parallel); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
