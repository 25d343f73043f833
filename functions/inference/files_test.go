//go:build integration

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/e2e/freeport"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/functions/inference/service"
	"github.com/unip-knative/unip/functions/internal/caller"
)

// signed is the header of a call by a user.
func signed(t *testing.T, user string) []string {
	t.Helper()
	h, err := caller.Sign([]byte(key), caller.Claims{User: user, Audience: "leaf", Method: "POST", Path: "/predict",
		IssuedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return []string{caller.Header, h}
}

// storage is an S3 server with a bucket per box.
type storage struct {
	*miniotest.Server
	buckets map[string]string
	// usage of the boxes that are counted: those are sessions of boxes with a capacity.
	usage map[string]databox.UsageRef
}

func newStorage(t *testing.T, boxes ...string) *storage {
	t.Helper()
	s := &storage{miniotest.Start(t), map[string]string{}, map[string]databox.UsageRef{}}
	for _, b := range boxes {
		s.buckets[b] = s.Bucket(t)
	}
	return s
}

func (s *storage) put(t *testing.T, box, key, content string) {
	t.Helper()
	s.Put(t, s.buckets[box], key, content)
}

// get is a user's object and its content.
func (s *storage) get(t *testing.T, user, place string) (minio.ObjectInfo, string) {
	t.Helper()
	box, path, _ := strings.Cut(place, "/")
	o, err := s.GetObject(t.Context(), s.buckets[box], databox.UserPrefix(user)+path, minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	b, err := io.ReadAll(o)
	if err != nil {
		t.Errorf("%s of %s: %v", place, user, err)
		return minio.ObjectInfo{}, ""
	}
	info, err := o.Stat()
	if err != nil {
		t.Error(err)
	}
	return info, string(b)
}

// keys of a box.
func (s *storage) keys(t *testing.T, box string) []string {
	t.Helper()
	all := []string{}
	for o := range s.ListObjects(context.Background(), s.buckets[box], minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		all = append(all, o.Key)
	}
	return all
}

// withBoxes connects a component to boxes, "name" or "name:read", with sessions as the controller
// makes them.
func withBoxes(t *testing.T, s *storage, boxes ...string) func(*setup) {
	t.Helper()
	dir := t.TempDir()
	var flags boxFlags
	for _, b := range boxes {
		if err := flags.Set(b); err != nil {
			t.Fatal(err)
		}
		name, access := strings.TrimSuffix(b, ":read"), databox.Calls
		if strings.HasSuffix(b, ":read") {
			access = databox.CallsRead
		}
		grants := []databox.Grant{{Bucket: s.buckets[name], Access: access}}
		usage, counted := s.usage[name]
		if counted {
			grants = append(grants, databox.Grant{Bucket: usage.Bucket, Access: databox.Read,
				Keys: []string{usage.Key}})
		}
		policy, err := databox.Policy(grants...)
		if err != nil {
			t.Fatal(err)
		}
		keys := s3.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey}
		session, err := s3.AssumeRole(t.Context(), http.DefaultClient, s.Endpoint, "us-east-1", keys, policy, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		session.Endpoint, session.Region, session.Bucket = s.Endpoint, "us-east-1", s.buckets[name]
		if counted {
			session.Usage = &usage
		}
		content, err := json.Marshal(session)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "boxes", name), 0o755),
			os.WriteFile(filepath.Join(dir, "boxes", name, databox.SessionKey), content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "files"), 0o777),
		os.WriteFile(filepath.Join(dir, "namespace"), []byte("pu-ann"), 0o644)); err != nil {
		t.Fatal(err)
	}
	return func(o *setup) {
		o.boxes, o.sessions, o.files, o.namespace = flags, filepath.Join(dir, "boxes"), filepath.Join(dir, "files"),
			filepath.Join(dir, "namespace")
	}
}

// startFiles starts a component that is connected to boxes, and whose caller ann is.
func startFiles(t *testing.T, source string, change ...func(*setup)) (*component, options) {
	t.Helper()
	var o options
	c := start(t, source, "f", append(change, func(p *setup) { o = p.options })...)
	c.write("key", key)
	return c.awaitReady(), o
}

// file is a FILE input.
func file(place string) string {
	// strings always encode
	b, _ := json.Marshal(map[string]any{"inputs": []map[string]string{{"name": "x", "datatype": "FILE", "data": place,
		"content_type": "text/plain"}}})
	return string(b)
}

// empty waits until no file of a call lies in the folder.
func empty(t *testing.T, dir string) {
	t.Helper()
	eventually(t, "an empty folder of files", func() bool {
		left, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(left) == 0
	})
}

// reading answers with what it sees of its files.
const readingFiles = `
import os, stat, time, sys
def f(inputs):
    out = []
    for i in inputs:
        path = i["data"]
        if i["name"] == "sleep": time.sleep(60)
        if i["name"] == "exit": sys.exit(3)
        if i["name"] == "raise": raise ValueError(open(path).read())
        with open(path) as x: text = x.read()
        s, d = os.stat(path), os.stat(os.path.dirname(path))
        out.append({"name": i["name"], "datatype": "dict", "data": {"text": text, "path": path, "base": os.path.basename(path), "abs": os.path.isabs(path),
                    "mode": oct(stat.S_IMODE(s.st_mode)), "folder": oct(stat.S_IMODE(d.st_mode)), "datatype": i["datatype"], "content_type": i.get("content_type")}})
    return out
`

func TestFileIn(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "weights", "visitors", "other")
	s.put(t, "visitors", "users/ann/file_groups/photos/a.txt", "ann's")
	s.put(t, "visitors", "users/ann/file_groups/photos/deep/Файл 1+2%.txt", "deep")
	s.put(t, "visitors", "users/ann/file_groups/photos/empty", "")
	s.put(t, "visitors", "users/boris%2Fx/file_groups/photos/a.txt", "boris's")
	s.put(t, "other", "users/ann/file_groups/photos/a.txt", "other")
	s.put(t, "weights", "users/ann/file_groups/photos/a.txt", "weights")
	c, o := startFiles(t, readingFiles, withBoxes(t, s, "weights:read", "visitors", "other"))
	for place, want := range map[string]string{
		"photos/a.txt": "ann's", "visitors/photos/a.txt": "ann's", "other/photos/a.txt": "other",
		"weights/photos/a.txt": "weights", "photos/deep/Файл 1+2%.txt": "deep",
		"/pu-ann/files/visitors/photos/deep/%D0%A4%D0%B0%D0%B9%D0%BB%201+2%25.txt": "deep",
		"https://x.example/pu-ann/files/other/photos/a.txt":                        "other",
		"/files/visitors/photos/empty":                                             "",
	} {
		a := c.predict(200, file(place), signed(t, "ann")...)
		if len(a.Outputs) != 1 {
			t.Fatalf("%s: %s", place, a.body)
		}
		got, _ := a.Outputs[0].Data.(map[string]any)
		path, _ := got["path"].(string)
		if got["text"] != want || got["abs"] != true || got["mode"] != "0o644" || got["folder"] != "0o755" ||
			got["datatype"] != "FILE" || got["content_type"] != "text/plain" ||
			!strings.HasPrefix(path, o.files+"/") || (strings.Contains(place, "a.txt") && got["base"] != "a.txt") {
			t.Errorf("%s: %v", place, got)
		}
		empty(t, o.files)
	}
	if a := c.predict(200, file("photos/a.txt"), signed(t, "boris/x")...); !strings.Contains(a.body, "boris's") {
		t.Errorf("another user: %s", a.body)
	}
	// Escapes of JSON, and two inputs that name one file.
	a := c.predict(200,
		`{"inputs":[{"name":"a","datatype":"F\u0049LE","data":"photos\/a.txt"},{"name":"n","datatype":"FILE","data":"visitors/photos/a.txt"}]}`, signed(t, "ann")...)
	if len(a.Outputs) != 2 || a.Outputs[0].Data.(map[string]any)["path"] != a.Outputs[1].Data.(map[string]any)["path"] {
		t.Errorf("%s", a.body)
	}
	empty(t, o.files)
}

func TestFileInIsRefused(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "visitors", "secret")
	s.put(t, "visitors", "users/ann/file_groups/g/a", "ann's")
	s.put(t, "visitors", "users/boris/file_groups/g/b", "boris's")
	s.put(t, "visitors", "models/m", "the developer's")
	s.put(t, "secret", "users/ann/file_groups/g/a", "not connected")
	c, o := startFiles(t, readingFiles, withBoxes(t, s, "visitors"))
	for place, want := range map[string]string{
		"g/b": "404 file-not-found", "secret/g/a": "404 file-not-found", `g/a\..\b`: "404 file-not-found",
		"/pu-ann/files/secret/g/a": "404 file-not-found", "/pu-boris/files/visitors/g/a": "404 file-not-found",
		"boris/file_groups/g/b": "404 file-not-found", "visitors/../boris/file_groups/g/b": "400 invalid-request",
		"../../boris/file_groups/g/b":      "400 invalid-request",
		"g/../../../boris/file_groups/g/b": "400 invalid-request", "../../../models/m": "400 invalid-request",
		"visitors:/models/m": "404 file-not-found", "models/m": "404 file-not-found",
		"/files/visitors/%2e%2e/%2e%2e/boris/file_groups/g/b": "400 invalid-request",
		"/files/visitors/g/..%2f..%2fboris":                   "400 invalid-request",
		"/files/visitors/g//a":                                "400 invalid-request",
		"/etc/passwd":                                         "400 invalid-request",
		"file:///etc/passwd":                                  "400 invalid-request", "a": "400 invalid-request",
		"": "400 invalid-request", "g/": "400 invalid-request", "visitors/g/": "400 invalid-request",
		"g/\x00": "400 invalid-request", "g/a\n": "400 invalid-request",
		"g/" + strings.Repeat("x", 300): "400 invalid-request", strings.Repeat("g/", 450) + "a": "400 invalid-request",
	} {
		a, err := c.post(t.Context(), file(place), signed(t, "ann")...)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(a.status, " ", a.slug()); got != want || len(a.Errors) != 1 ||
			a.Errors[0].Pointer != "/inputs/0/data" || strings.Contains(a.body, "boris") {
			t.Errorf("%q: %s, want %s", place, a.body, want)
		}
	}
	for body, want := range map[string]string{
		`{"inputs":[{"name":"x","datatype":"FILE","data":7}]}`:                          "400 invalid-request /inputs/0/data",
		`{"inputs":[{"name":"x","datatype":"FILE","data":["g/a"]}]}`:                    "400 invalid-request /inputs/0/data",
		`{"inputs":[{"name":"x","datatype":"FILE"}]}`:                                   "400 invalid-request /inputs/0/data",
		`{"inputs":[{"name":"y","data":1},{"name":"x","datatype":"FILE","data":null}]}`: "400 invalid-request /inputs/1/data",
		`{"inputs":[` + strings.Repeat(`{"name":"x","datatype":"FILE","data":"g/a"},`,
			64) + `{"name":"x","datatype":"FILE","data":""}]}`: "400 invalid-request /inputs",
		`{"inputs":[{"name":"x","datatype":"FILE","data":"g/a"}]`:  "400 invalid-json ",
		`{"inputs":[{"datatype":"FILE","data":"g/a"}]}`:            "400 invalid-request /inputs/0/name",
		`{"inputs":[{"name":"x","datatype":"file","data":"g/a"}]}`: "400 invalid-request /inputs/0/datatype",
	} {
		a, err := c.post(t.Context(), body, signed(t, "ann")...)
		if err != nil {
			t.Fatal(err)
		}
		pointer := ""
		if len(a.Errors) == 1 {
			pointer = a.Errors[0].Pointer
		}
		if got := fmt.Sprint(a.status, " ", a.slug(), " ", pointer); got != want {
			t.Errorf("%.80s: %s, want %s", body, a.body, want)
		}
	}
	for name, header := range map[string][]string{"without a signature": nil, "of an API that is open": signed(t, "")} {
		if a := c.predict(403, file("g/a"), header...); a.slug() != "file-needs-user" ||
			a.Errors[0].Pointer != "/inputs/0/datatype" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	c.predict(200, `{"inputs":[]}`)
	empty(t, o.files)

	none := start(t, readingFiles, "f").awaitReady()
	if a := none.predict(501, file("g/a")); a.slug() != "file-not-supported" {
		t.Errorf("without boxes: %s", a.body)
	}
}

// However a call ends, its files go.
func TestFilesOfACallAreRemoved(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "visitors")
	s.put(t, "visitors", "users/ann/file_groups/g/a", "the content")
	c, o := startFiles(t, readingFiles, withBoxes(t, s, "visitors"),
		func(o *setup) { o.timeout = time.Second; o.queue = 1 })
	call := func(name string) string { return strings.Replace(file("g/a"), `"name":"x"`, `"name":"`+name+`"`, 1) }
	for name, want := range map[string]int{"raise": 500, "exit": 502, "sleep": 504} {
		c.predict(want, call(name), signed(t, "ann")...)
		empty(t, o.files)
	}
	ctx, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 { // one runs, one waits, two are too many
		wg.Go(func() { _, _ = c.post(ctx, call("sleep"), signed(t, "ann")...) })
	}
	eventually(t, "the files of a call", func() bool {
		left, err := os.ReadDir(o.files)
		return err == nil && len(left) > 0
	})
	leave()
	wg.Wait()
	empty(t, o.files)
	c.predict(200, call("x"), signed(t, "ann")...)

	// What a server leaves that is killed, the next one removes.
	if err := os.MkdirAll(filepath.Join(o.files, "old", "0"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (&service.Files{Dir: o.files}).Prepare(); err != nil {
		t.Error(err)
	}
	empty(t, o.files)
}

func TestFilesWithoutStorage(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "visitors", "later")
	s.put(t, "visitors", "users/ann/file_groups/g/a", "x")
	c, o := startFiles(t, returning, withBoxes(t, s, "visitors", "later"))
	refused := func(a answer) {
		t.Helper()
		if a.slug() != "storage-unavailable" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s", a.body)
		}
	}
	session := filepath.Join(o.sessions, "later", databox.SessionKey)
	if err := os.Rename(session, session+".later"); err != nil {
		t.Fatal(err)
	}
	refused(c.predict(503, file("later/g/a"), signed(t, "ann")...))
	session = filepath.Join(o.sessions, "visitors", databox.SessionKey)
	b, err := os.ReadFile(session)
	if err != nil {
		t.Fatal(err)
	}
	var x databox.Session
	if err := json.Unmarshal(b, &x); err != nil {
		t.Fatal(err)
	}
	x.Endpoint = "http://" + freeport.Address(t)
	b, err = json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(session, b, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(c.predict(503, file("g/a"), signed(t, "ann")...))
	refused(c.predict(503, `{"inputs":[{"name":"w","data":"one"}]}`, signed(t, "ann")...))
	empty(t, o.files)
}

// Sizes as they come: 200 MB in and out.
func TestALargeFileInAndOut(t *testing.T) {
	t.Parallel()
	const size = 200_000_000
	s := newStorage(t, "visitors")
	if _, err := s.PutObject(t.Context(), s.buckets["visitors"], "users/ann/file_groups/g/large",
		io.LimitReader(&digits{}, size), size, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	source := `
import hashlib, os
def f(inputs):
    path = inputs[0]["data"]
    with open(path, "rb") as x: content = x.read()
    return [{"name": "o", "datatype": "FILE", "data": path}, {"name": "h", "data": hashlib.sha256(content).hexdigest()}]
`
	c, o := startFiles(t, source, withBoxes(t, s, "visitors"), func(o *setup) { o.timeout = time.Minute })
	a := c.predict(200, file("g/large"), signed(t, "ann")...)
	all, err := io.ReadAll(io.LimitReader(&digits{}, size))
	if err != nil {
		t.Fatal(err)
	}
	want := sum(string(all))
	place, _ := a.Outputs[0].Data.(string)
	if _, content := s.get(t, "ann", place); a.Outputs[1].Data != want || sum(content) != want {
		t.Errorf("%s, then %d bytes came back otherwise", a.body, len(content))
	}
	empty(t, o.files)
}

// digits is endless content that differs from place to place.
type digits struct{ at uint64 }

func (d *digits) Read(p []byte) (int, error) {
	for i := range p {
		d.at++
		p[i] = byte(d.at * 0x9E3779B97F4A7C15 >> 56)
	}
	return len(p), nil
}

// A component with anonymous-calls answers all, but nobody has files.
func TestUnsignedCallsHaveNoFiles(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "visitors")
	s.put(t, "visitors", "users/anonymous/file_groups/in/x.txt", "x")
	c, _ := startFiles(t, "def f(inputs=None):\n    return []\n", withBoxes(t, s, "visitors"))
	c.predict(200, "{}")
	for _, user := range []string{"ann", "anonymous"} {
		a := c.predict(403, `{"inputs":[{"name":"x","datatype":"FILE","data":"visitors/in/x.txt"}]}`,
			"X-Forwarded-User", user)
		if a.slug() != "file-needs-user" {
			t.Errorf("%s: %s", user, a.body)
		}
	}
}
