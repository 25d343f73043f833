//go:build integration

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/e2e/freeport"
	pod "github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/functions/internal/caller"
)

// mounted are the mounts of a component, in folders of the test.
type mounted struct {
	*storage
	pod.Mounts
	dir string
}

// mount gives entries their folders, and sessions as the controller makes them.
func mount(t *testing.T, s *storage, entries ...pod.Mount) *mounted {
	t.Helper()
	m := &mounted{s, pod.Mounts{MaxSize: 1 << 20, Entries: entries}, t.TempDir()}
	for i := range m.Entries {
		e := &m.Entries[i]
		e.Path = m.path(i, "")
		m.hold(t, i, pod.ReadSession, databox.Mount)
		if e.Write {
			m.hold(t, i, pod.WriteSession, databox.MountWrite)
		}
	}
	return m
}

func (m *mounted) hold(t *testing.T, entry int, file string, use databox.Access) {
	t.Helper()
	e := m.Entries[entry]
	grant, err := databox.UseOf(m.buckets[e.Box], false, use, cmp.Or(e.Prefix, databox.Root))
	if err != nil {
		t.Fatal(err)
	}
	policy, err := databox.Policy(grant)
	if err != nil {
		t.Fatal(err)
	}
	keys := s3.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey}
	session, err := s3.AssumeRole(t.Context(), http.DefaultClient, m.Endpoint, "us-east-1", keys, policy, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	session.Endpoint, session.Region, session.Bucket = m.Endpoint, "us-east-1", m.buckets[e.Box]
	content, err := json.Marshal(session)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(m.dir, "sessions", pod.Folder(entry))
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, file), content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func (m *mounted) path(entry int, name string) string {
	return filepath.Join(m.dir, "mounts", pod.Folder(entry), name)
}

func (m *mounted) tell(o *setup) {
	told, _ := json.Marshal(m.Mounts) // it always encodes
	o.mounts, o.mountDir = string(told), filepath.Join(m.dir, "mounts")
	o.mountSessions = filepath.Join(m.dir, "sessions")
}

// content of a box's object, "" for none.
func (m *mounted) content(t *testing.T, box, key string) string {
	t.Helper()
	var b bytes.Buffer
	o, err := m.GetObject(t.Context(), m.buckets[box], key, minio.GetObjectOptions{})
	if err == nil {
		_, err = b.ReadFrom(o)
	}
	if err != nil && !s3.IsMissing(err) {
		t.Fatal(err)
	}
	return b.String()
}

// shell is a function that runs a program of the test, with the folders in d, and says what it said.
func shell(m *mounted) string {
	var dirs []string
	for i := range m.Entries {
		dirs = append(dirs, fmt.Sprintf("%q", m.path(i, "")))
	}
	return `
import os, time
d = [` + strings.Join(dirs, ",") + `]
def walk(top):
    return sorted(os.path.relpath(os.path.join(at, f), top) for at, _, files in os.walk(top) for f in files)
there = [walk(x) for x in d]  # when it is imported
held = []
def f(inputs):
    """x"""
    said = {"d": d, "os": os, "time": time, "there": there, "walk": walk, "held": held}
    code = inputs[0]["data"]
    exec(code if isinstance(code, str) else code[0], said)
    return [{"name": "said", "data": said.get("said", "")}]
`
}

func run1(program string) string {
	b, _ := json.Marshal(map[string]any{"inputs": []map[string]string{
		{"name": "x", "datatype": "str", "data": program}}})
	return string(b)
}

// startMounts starts a component that answers signed calls alone.
func startMounts(t *testing.T, m *mounted, change ...func(*setup)) *component {
	t.Helper()
	c := start(t, shell(m), "f", append([]func(*setup){m.tell, func(o *setup) { o.anonymous = false }}, change...)...)
	c.write("key", key)
	return c.awaitReady()
}

func (c *component) says(t *testing.T, program string) string {
	t.Helper()
	a := c.predict(http.StatusOK, run1(program), signed(t, "ann")...)
	if len(a.Outputs) == 0 {
		return ""
	}
	return fmt.Sprint(a.Outputs[0].Data)
}

// The files of a box lie in the folder when the function is imported: of the whole box but for users',
// or below s3Path. Each comes once, whatever entries it lies in, and the model lies at its path.
func TestMountsAreThereBeforeTheImport(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "data", "out")
	for _, key := range []string{"a", "t/b", "t/deep/c", "t/empty", "models/m", "users/ann/file_groups/g/f",
		"usersx/d"} {
		s.put(t, "data", key, "content of "+key)
	}
	s.put(t, "data", "t/void/", "")
	s.put(t, "out", "e", "content of e")
	p := s.Proxy(t)
	m := mount(t, &storage{&miniotest.Server{Client: s.Client, Endpoint: p.Endpoint}, s.buckets, nil},
		pod.Mount{Box: "data", Links: []pod.Link{{Name: "models/m", Target: "/there/m"}}},
		pod.Mount{Box: "data", Prefix: "t/", Write: true}, pod.Mount{Box: "out"})
	c := startMounts(t, m)
	if got, want := c.says(t, "said = repr(there)"), "[['a', 'models/m', 't/b', 't/deep/c', 't/empty', 'usersx/d'], "+
		"['b', 'deep/c', 'empty'], ['e']]"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
	if got := c.says(t, `said = "; ".join([open(d[0] + "/t/deep/c").read(),
 open(d[1] + "/deep/c").read(), os.readlink(d[0] + "/models/m"), str(os.path.isdir(d[1] + "/void"))])`); got !=
		"content of t/deep/c; content of t/deep/c; /there/m; True" {
		t.Errorf("the function reads %s", got)
	}
	var gets []string
	for _, r := range p.Seen() {
		if method, path, _ := strings.Cut(r, " "); method == http.MethodGet && !strings.HasSuffix(path, "/") {
			gets = append(gets, path)
		}
	}
	slices.Sort(gets)
	if len(gets) != 6 || len(slices.Compact(slices.Clone(gets))) != 6 {
		t.Errorf("fetched are %q", gets)
	}
	eventually(t, "the count of what came", func() bool {
		text := scrape(t, c)
		return strings.Contains(text, "unip_mounted_files 9") && strings.Contains(text, `unip_start_seconds{phase="mounts"}`)
	})
	// A server that is started again in the same pod finds them.
	_ = p.Seen() // of those so far
	c.stopServer()
	again := startMounts(t, m)
	if got := again.says(t, "said = repr(there[2])"); got != "['e']" {
		t.Errorf("there are %s", got)
	}
	if seen := p.Seen(); len(seen) != 0 {
		t.Errorf("they were fetched again: %q", seen)
	}
}

// What a call writes lies in the box when it is answered; a call that fails by an exception is an answer
// as well. What is still open, what lies there unchanged, and what is written elsewhere, is not stored.
func TestWhatIsWrittenIsStored(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "out")
	s.put(t, "out", "res/old", "old")
	m := mount(t, s, pod.Mount{Box: "out", Prefix: "res/", Write: true})
	c := startMounts(t, m)
	c.says(t, `
os.makedirs(d[0] + "/deep/er"); open(d[0] + "/deep/er/f.txt", "w").write("new"); open(d[0] + "/old", "a").write(" and new")
held.append(open(d[0] + "/log", "w")); held[0].write("1"); held[0].flush()`)
	if got := s.keys(t, "out"); !slices.Equal(got, []string{"res/deep/er/f.txt", "res/old"}) {
		t.Errorf("the box has %q", got)
	}
	if got := m.content(t, "out", "res/old"); got != "old and new" {
		t.Errorf("stored is %q", got)
	}
	if got := m.content(t, "out", "res/deep/er/f.txt"); got != "new" {
		t.Errorf("stored is %q", got)
	}
	info, err := s.StatObject(t.Context(), s.buckets["out"], "res/deep/er/f.txt", minio.StatObjectOptions{})
	if err != nil || !strings.HasPrefix(info.ContentType, "text/plain") {
		t.Errorf("%v %v", info.ContentType, err)
	}
	c.says(t, `held[0].close()`)
	if got := m.content(t, "out", "res/log"); got != "1" {
		t.Errorf("stored is %q", got)
	}
	c.predict(http.StatusInternalServerError, run1(`
open(d[0] + "/before", "w").write("x")
raise ValueError("after")`), signed(t, "ann")...)
	if got := m.content(t, "out", "res/before"); got != "x" {
		t.Errorf("stored is %q", got)
	}
	// a program that the call starts, an atomic write, and the Open Inference Protocol
	c.says(t, `import subprocess; subprocess.run(["sh", "-c", "echo of sh > " + d[0] + "/sh"], check=True)
open(d[0] + "/x.part", "w").write("whole"); os.replace(d[0] + "/x.part", d[0] + "/x")`)
	if m.content(t, "out", "res/sh") != "of sh\n" || m.content(t, "out", "res/x") != "whole" ||
		m.content(t, "out", "res/x.part") != "" {
		t.Errorf("the box has %q", s.keys(t, "out"))
	}
	v2, _ := json.Marshal(map[string]any{"inputs": []map[string]any{{"name": "x", "datatype": "BYTES",
		"shape": []int{1}, "data": []string{`open(d[0] + "/v2", "w").write("x")`}}}})
	h, err := caller.Sign([]byte(key), caller.Claims{User: "", Audience: "leaf", Method: "POST",
		Path: "/v2/models/leaf/infer", IssuedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, c.url+"/v2/models/leaf/infer", bytes.NewReader(v2))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(caller.Header, h)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || m.content(t, "out", "res/v2") != "x" {
		t.Errorf("%d, the box has %q", resp.StatusCode, s.keys(t, "out"))
	}
	eventually(t, "the count of what was stored", func() bool {
		text := scrape(t, c)
		return strings.Contains(text, "unip_mounts_stored_files_total 7")
	})
}

// What must not be stored is a 500 that names the path, whatever the session would allow; what cannot
// be opened safely, too.
func TestWhatMustNotBeStored(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "out")
	m := mount(t, s, pod.Mount{Box: "out", Write: true})
	m.Models = map[string][]string{"out": {"models/m"}}
	m.Entries[0].Path = "/results"
	c := startMounts(t, m)
	for program, says := range map[string]string{
		`os.makedirs(d[0] + "/users/ann/file_groups/g"); open(d[0] + "/users/ann/file_groups/g/f", "w").write("x")`: "/results/users/ann/file_groups/g/f",
		`os.makedirs(d[0] + "/models"); open(d[0] + "/models/m", "w").write("x")`:                                   "/results/models/m",
		`os.symlink("/etc/passwd", d[0] + "/link")`:                                                                 "/results/link",
		`os.mkfifo(d[0] + "/pipe")`: "/results/pipe",
		`open("h", "w").write("x"); os.link("h", d[0] + "/hard") if os.stat(".").st_dev == os.stat(d[0]).st_dev else os.symlink("h", d[0] + "/hard")`: "/results/hard",
	} {
		a := c.predict(http.StatusInternalServerError, run1(program), signed(t, "ann")...)
		if a.slug() != "invalid-result" || !strings.Contains(a.Detail, says) {
			t.Errorf("%s: %s %s", program, a.slug(), a.Detail)
		}
	}
	c.says(t, `open(d[0] + "/fine", "w").write("x")`)
	if got := s.keys(t, "out"); !slices.Equal(got, []string{"fine"}) {
		t.Errorf("the box has %q", got)
	}
}

// A file that only its owner may read, as tempfile makes them, is stored: the function's container
// is asked to let everybody in the pod read it.
func TestPrivateFilesAreStored(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "out")
	m := mount(t, s, pod.Mount{Box: "out", Write: true})
	c := startMounts(t, m)
	c.says(t, `
import tempfile
with tempfile.NamedTemporaryFile("w", dir=d[0], delete=False) as f:
    f.write("x")
os.replace(f.name, d[0] + "/report")`)
	if got := m.content(t, "out", "report"); got != "x" {
		t.Errorf("stored is %q", got)
	}
	info, err := os.Stat(m.path(0, "report"))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// Nothing is stored for a call without the gateway's signature, at its time or later.
func TestUnsignedCallsAreNotStored(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "out")
	m := mount(t, s, pod.Mount{Box: "out", Write: true})
	c := startMounts(t, m, func(o *setup) { o.anonymous = true })
	c.predict(http.StatusOK, run1(`open(d[0] + "/unsigned", "w").write("x")`))
	c.says(t, `open(d[0] + "/signed", "w").write("x")`)
	if got := s.keys(t, "out"); !slices.Equal(got, []string{"signed"}) {
		t.Errorf("the box has %q", got)
	}
}

// With calls at once, each call's files are stored when it is answered.
func TestWritesOfCallsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "out")
	m := mount(t, s, pod.Mount{Box: "out", Write: true})
	c := startMounts(t, m, func(o *setup) { o.workers = 3 })
	var g sync.WaitGroup
	for i := range 30 {
		g.Go(func() {
			name := fmt.Sprintf("%d/f", i)
			a, err := c.post(context.Background(), run1(fmt.Sprintf(
				`os.makedirs(d[0] + "/%d"); open(d[0] + "/%s", "w").write("%s")`, i, name, name)), signed(t, "ann")...)
			if got := m.content(t, "out", name); err != nil || a.status != http.StatusOK || got != name {
				t.Errorf("%v %d %s: stored is %q", err, a.status, a.body, got)
			}
		})
	}
	g.Wait()
}

// Storage that does not answer, or refuses, fails the call; the next one that writes stores what it
// writes.
func TestStorageAwayWhileACallWrites(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "out")
	p := s.Proxy(t)
	m := mount(t, &storage{&miniotest.Server{Client: s.Client, Endpoint: p.Endpoint}, s.buckets, nil},
		pod.Mount{Box: "out", Write: true})
	c := startMounts(t, m, func(o *setup) { o.timeout = 2 * time.Second })
	for fault, want := range map[miniotest.Fault]struct {
		status int
		slug   string
	}{
		miniotest.Hang:  {http.StatusGatewayTimeout, "timeout"},
		miniotest.Ended: {http.StatusServiceUnavailable, "storage-unavailable"},
	} {
		p.Fault(func(*http.Request) miniotest.Fault { return fault })
		a := c.predict(want.status, run1(`open(d[0] + "/a", "w").write("x")`), signed(t, "ann")...)
		if a.slug() != want.slug {
			t.Error(a.body)
		}
		p.Fault(nil)
		c.says(t, `open(d[0] + "/b", "w").write("x")`)
		if got := s.keys(t, "out"); !slices.Equal(got, []string{"b"}) {
			t.Errorf("the box has %q", got)
		}
	}
}

// More than the installation allows ends the start, with sizes and what to do.
func TestMountsThatAreTooLarge(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "data")
	s.put(t, "data", "t/a", strings.Repeat("x", 700))
	s.put(t, "data", "t/b", strings.Repeat("x", 400))
	m := mount(t, s, pod.Mount{Box: "data", Prefix: "t/"})
	m.MaxSize = 1000
	dir := t.TempDir()
	o := setup{options: options{component: "leaf", socket: filepath.Join(dir, "s"), port: freeport.Find(t), workers: 1,
		updates: updatesOff,
		queue:   1, timeout: time.Second, metrics: "0", maxBody: 1 << 20}}
	m.tell(&o)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	err := run(ctx, o.options, &syncBuffer{})
	for _, part := range []string{"2 files of 1100 bytes", "of 1000", "box data, s3Path /t/", "s3Path",
		`knative.unified-platform.cs.hse.ru/mounts: "off"`, "mounts.maxSize"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %s", err, part)
		}
	}
	if left, err := os.ReadDir(m.path(0, "")); err != nil || len(left) != 0 {
		t.Errorf("fetched are %v, %v", left, err)
	}
}
