//go:build integration

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/unip-knative/unip/e2e/freeport"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
)

const reading = `
def load(path):
    with open(path) as f:
        text = f.read()
    if text == "broken":
        raise ValueError("these are no weights")
    return "loaded " + text
def f(model):
    """x"""
    return [{"name": "text", "data": model}]
`

// session writes the session file that the controller would, for a box of the server.
func (c *component) session(s *miniotest.Server, bucket string) {
	c.t.Helper()
	b, err := json.Marshal(databox.Session{
		Endpoint: s.Endpoint, Region: "us-east-1", Bucket: bucket, AccessKeyID: miniotest.AccessKey,
		SecretAccessKey: miniotest.SecretKey,
		Expiration:      time.Now().Add(time.Hour),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.write("session.json", string(b))
}

func withModel(o *setup) { o.object = "m.txt" }

func TestModel(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)

	t.Run("there from the start", func(t *testing.T) {
		t.Parallel()
		bucket := s.Bucket(t)
		s.Put(t, bucket, "m.txt", "weights")
		c := start(t, reading, "f", withModel)
		if c.ready() {
			t.Error("ready without a session: whether the model exists is not known")
		}
		c.write(".fetch-1", "half a model, of a server that was killed")
		c.session(s, bucket)
		a := c.awaitReady().predict(200, "{}")
		if _, err := os.Stat(filepath.Join(c.dir, ".fetch-1")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what a killed server has fetched is left: %v", err)
		}
		if len(a.Outputs) != 1 || a.Outputs[0].Data != "loaded weights" || a.header.Get("Unip-Model-Etag") == "" {
			t.Errorf("%s %v", a.body, a.header)
		}
	})
	t.Run("put later", func(t *testing.T) {
		t.Parallel()
		bucket := s.Bucket(t)
		c := start(t, reading, "f", withModel)
		c.session(s, bucket)
		c.awaitReady()
		if a := c.predict(503, "{}"); a.slug() != "model-not-found" || a.header.Get("Retry-After") != "1" {
			t.Errorf("%s", a.body)
		}
		s.Put(t, bucket, "m.txt", "late")
		eventually(t, "the model", func() bool {
			a, err := c.post(t.Context(), "{}")
			return err == nil && a.status == 200 && a.Outputs[0].Data == "loaded late"
		})
	})
	t.Run("without a loader the model is its path", func(t *testing.T) {
		t.Parallel()
		bucket := s.Bucket(t)
		s.Put(t, bucket, "m.txt", "weights")
		c := start(t, "def f(model):\n return [{'name': 'p', 'data': model}]\n", "f", withModel)
		c.session(s, bucket)
		a := c.awaitReady().predict(200, "{}")
		path, _ := a.Outputs[0].Data.(string)
		if b, err := os.ReadFile(path); err != nil || string(b) != "weights" {
			t.Errorf("%q: %q %v", path, b, err)
		}
	})
	t.Run("a folder", func(t *testing.T) {
		t.Parallel()
		bucket := s.Bucket(t)
		s.Put(t, bucket, "m/a/b.txt", "1")
		s.Put(t, bucket, "m/c.txt", "2")
		s.Put(t, bucket, "mm/d.txt", "another")
		c := start(t,
			"import os\ndef f(model):\n return [{'name': 'n', 'data': sorted(os.path.relpath(os.path.join(d, n), model) for d, _, ns in os.walk(model) for n in ns)}]\n",
			"f", func(o *setup) { o.object = "m/" })
		c.write("model/a/.fetch-1", "half a file, of a server that was killed")
		c.session(s, bucket)
		const want = `{"outputs":[{"name":"n","data":["a/b.txt","c.txt"],"datatype":"str","shape":[2]}]}`
		if a := c.awaitReady().predict(200, "{}"); a.body != want {
			t.Errorf("%s", a.body)
		}
	})
	t.Run("a folder of many files", func(t *testing.T) {
		t.Parallel()
		bucket := s.Bucket(t)
		for i := range 60 {
			s.Put(t, bucket, fmt.Sprintf("m/%d/%d.txt", i%7, i), fmt.Sprint(i))
		}
		c := start(t,
			"import os\ndef f(model):\n return [{'name': 'n', 'data': sum(int(open(os.path.join(d, n)).read()) for d, _, ns in os.walk(model) for n in ns)}]\n",
			"f", func(o *setup) { o.object = "m/" })
		c.session(s, bucket)
		if a := c.awaitReady().predict(200, "{}"); len(a.Outputs) != 1 || a.number() != 59.0*60/2 {
			t.Errorf("%s", a.body)
		}
	})
	t.Run("one of 50 MiB comes whole", func(t *testing.T) {
		t.Parallel()
		bucket := s.Bucket(t)
		s.Put(t, bucket, "m.txt", strings.Repeat("0123456789abcdef", 50<<16))
		c := start(t,
			"import hashlib\ndef f(model):\n return [{'name': 'h', 'data': hashlib.sha256(open(model, 'rb').read()).hexdigest()}]\n", "f", withModel)
		c.session(s, bucket)
		if a := c.awaitReady().predict(200, "{}"); a.Outputs[0].Data != sum(strings.Repeat("0123456789abcdef",
			50<<16)) {
			t.Errorf("%s", a.body)
		}
	})
	t.Run("one that cannot be loaded ends the container with the reason", func(t *testing.T) {
		t.Parallel()
		bucket := s.Bucket(t)
		s.Put(t, bucket, "m.txt", "broken")
		c := start(t, reading, "f", withModel)
		c.session(s, bucket)
		c.wantEnd("ValueError: these are no weights")
	})
	t.Run("a renewed session is taken up", func(t *testing.T) {
		t.Parallel()
		bucket := s.Bucket(t)
		c := start(t, reading, "f", withModel)
		c.write("session.json", `{"endpoint":"`+s.Endpoint+`","region":"us-east-1","bucket":"`+bucket+
			`","accessKeyId":"gone","secretAccessKey":"gone-gone"}`)
		s.Put(t, bucket, "m.txt", "weights")
		eventually(t, "a refused session", func() bool {
			a, err := c.post(t.Context(), "{}")
			return err == nil && a.slug() == "storage-unavailable"
		})
		c.session(s, bucket)
		eventually(t, "the model with the new session", func() bool {
			a, err := c.post(t.Context(), "{}")
			return err == nil && a.status == 200
		})
	})
}

// A model that can never be served as it is ends the server with the reason, which is its
// container's termination message and so in the Revision's status.
func TestAModelThatCannotBeBroughtEndsTheServer(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	bucket := s.Bucket(t)
	sums, err := minio.New(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(miniotest.AccessKey, miniotest.SecretKey, ""), Region: "us-east-1",
		TrailingHeaders: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sums.PutObject(t.Context(), bucket, "m.txt", strings.NewReader("weights"), 7,
		minio.PutObjectOptions{Checksum: minio.ChecksumCRC32C}); err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	flips := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }, // the host is signed
		ModifyResponse: func(r *http.Response) error {
			if r.Request.Method == http.MethodGet && r.Header.Get("Etag") != "" {
				r.Body = io.NopCloser(strings.NewReader("weightz"))
			}
			return nil
		},
	})
	t.Cleanup(flips.Close)
	for name, x := range map[string]struct{ endpoint, file, reason string }{
		"what comes is not what was stored": {flips.URL, "model", "not that of the checksum"},
		"it cannot be written":              {s.Endpoint, "app/m.py/model", "its files cannot be written"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &component{t: t, dir: t.TempDir()}
			c.write("app/m.py", "")
			c.session(&miniotest.Server{Endpoint: x.endpoint}, bucket)
			o := options{
				component: "leaf", socket: filepath.Join(c.dir, "s"), port: freeport.Find(t), workers: 1, queue: 1,
				timeout: time.Second,
				session: filepath.Join(c.dir, "session.json"), object: "m.txt", file: filepath.Join(c.dir, x.file),
				metrics: "0", maxBody: 1 << 20, updates: updatesOff,
			}
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			if err := run(ctx, o, io.Discard); err == nil ||
				!strings.Contains(err.Error(), "the model cannot be used: ") ||
				!strings.Contains(err.Error(), x.reason) {
				t.Errorf("%v, want %s", err, x.reason)
			}
		})
	}
}
