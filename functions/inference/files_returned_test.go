//go:build integration

package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// returning returns files.
const returning = `
import os, pathlib, tempfile, time
here = tempfile.mkdtemp()
def write(name, content):
    path = os.path.join(here, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f: f.write(content)
    return path
def f(inputs):
    what = inputs[0]["data"]
    def out(data, name="o", **more): return dict({"name": name, "datatype": "FILE", "data": data}, **more)
    if inputs[0].get("datatype") == "FILE": return [out(what)]
    if what == "one": return [out(write("a.csv", b"1,2"))]
    if what == "typed": return [out(write("a.bin", b"x"), content_type="image/x-own")]
    if what == "bad type": return [out(write("a.json", b"x"), content_type="x\r\ny: z")]
    if what == "two": return [out(write("a/r.txt", b"A"), "a"), out(write("b/r.txt", b"B"), "b"), out(write("b/r.txt", b"B"), "c"), {"name": "d", "data": 1}]
    if what == "path": return [out(pathlib.Path(write("p.txt", b"P")))]
    if what == "bytes": return {"o": {"datatype": "FILE", "data": write("b.txt", b"B").encode()}}
    if what == "relative":
        os.chdir(here)
        write("rel.txt", b"R")
        return [out("rel.txt")]
    if what == "link":
        if not os.path.lexists(here + "/link.txt"): os.symlink(write("a.csv", b"1,2"), here + "/link.txt")
        return [out(here + "/link.txt")]
    if what == "removed":
        path = write("gone.txt", b"G")
        class Late(list): pass
        return [out(path)]
    if what == "odd name": return [out(write("a\n\x7fb\udcff.tar.gz", b"O"), "o"), out(write(".hidden", b"H"), "h")]
    if what == "missing": return [out("/nowhere/to/be")]
    if what == "folder": return [out(here)]
    if what == "pipe":
        if not os.path.exists(here + "/pipe"): os.mkfifo(here + "/pipe")
        return [out(here + "/pipe")]
    if what == "device": return [out("/dev/zero")]
    if what == "number": return [out(7)]
    if what == "none": return [out(None)]
    if what == "nul": return [out("a\0b")]
    if what == "second is missing": return [out(write("a.csv", b"1,2")), out("/nowhere")]
    if what == "not encoded": return [out(write("a.csv", b"1,2")), {"name": "x", "data": object()}]
    if what == "many": return [out(write("a.csv", b"1"), str(i)) for i in range(64)]
    if what == "too many": return [out(write("a.csv", b"1"), str(i)) for i in range(65)]
    if what == "descriptors": return [{"name": "n", "data": len(os.listdir("/proc/self/fd"))}]
    if what == "die with a file open": out(write("a.csv", b"1")); os._exit(1)
    if what == "slow": time.sleep(0.05); return [out(write("a.csv", b"1,2"))]
    if what == "too large":
        with open(here + "/large", "wb") as f: f.truncate((1 << 30) + 1)
        return [out(here + "/large")]
    return []
`

func returns(what string) string { return `{"inputs":[{"name":"w","data":"` + what + `"}]}` }

func TestFileOut(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "weights", "visitors", "other")
	s.put(t, "other", "users/ann/file_groups/photos/a.txt", "ann's")
	c, o := startFiles(t, returning, withBoxes(t, s, "weights:read", "visitors", "other"))
	for what, want := range map[string]map[string][2]string{ // base name -> content, media type
		"one":      {"a.csv": {"1,2", "text/csv; charset=utf-8"}},
		"typed":    {"a.bin": {"x", "image/x-own"}},
		"bad type": {"a.json": {"x", "application/json"}},
		"two": {"r.txt": {"A", "text/plain; charset=utf-8"}, "r-2.txt": {"B", "text/plain; charset=utf-8"},
			"r-3.txt": {"B", "text/plain; charset=utf-8"}},
		"path":     {"p.txt": {"P", "text/plain; charset=utf-8"}},
		"bytes":    {"b.txt": {"B", "text/plain; charset=utf-8"}},
		"relative": {"rel.txt": {"R", "text/plain; charset=utf-8"}},
		"link":     {"link.txt": {"1,2", "text/plain; charset=utf-8"}},
		"odd name": {"a__b_.tar.gz": {"O", "application/gzip"}, ".hidden": {"H", "application/octet-stream"}},
	} {
		a := c.predict(200, returns(what), signed(t, "ann")...)
		got := map[string][2]string{}
		for _, x := range a.Outputs {
			place, _ := x.Data.(string)
			if x.Datatype != "FILE" {
				continue
			}
			if group := "visitors/leaf/" + a.header.Get("X-Request-Id") + "/"; !strings.HasPrefix(place, group) {
				t.Errorf("%s: %s is not in %s", what, place, group)
				continue
			}
			info, content := s.get(t, "ann", place)
			got[filepath.Base(place)] = [2]string{content, info.ContentType}
		}
		if what == "odd name" { // types of names are the machine's
			got["a__b_.tar.gz"] = [2]string{got["a__b_.tar.gz"][0], "application/gzip"}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	// In and out, as the answer of one call goes into the next.
	a := c.predict(200, file("other/photos/a.txt"), signed(t, "ann")...)
	first, _ := a.Outputs[0].Data.(string)
	a = c.predict(200, file(first), signed(t, "ann")...)
	again, _ := a.Outputs[0].Data.(string)
	if _, content := s.get(t, "ann", again); content != "ann's" || again == first || filepath.Base(again) != "a.txt" {
		t.Errorf("%q, then %q: %q", first, again, content)
	}
	if a := c.predict(200, returns("many"), signed(t, "ann")...); len(a.Outputs) != 64 {
		t.Errorf("%s", a.body)
	}
	// Outputs that were not asked for are not stored.
	before := len(s.keys(t, "visitors"))
	a = c.predict(200, `{"inputs":[{"name":"w","data":"two"}],"output_fields":["b"]}`, signed(t, "ann")...)
	if after := len(s.keys(t, "visitors")); len(a.Outputs) != 1 || after != before+1 {
		t.Errorf("%d objects, before %d: %s", after, before, a.body)
	}
	empty(t, o.files)
}

func TestFileOutOfAnIdThatTheCallerChooses(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "visitors")
	c, _ := startFiles(t, returning, withBoxes(t, s, "visitors"))
	seen := map[string]bool{}
	for _, id := range []string{"same", "same", "../../../boris/file_groups/x", "..", "a/b", "/"} {
		a := c.predict(200, returns("one"), append(signed(t, "ann"), "X-Request-Id", id)...)
		place, _ := a.Outputs[0].Data.(string)
		if _, content := s.get(t, "ann", place); content != "1,2" || seen[place] || strings.Count(place, "/") != 3 {
			t.Errorf("%s: %s", id, place)
		}
		seen[place] = true
	}
	for _, k := range s.keys(t, "visitors") {
		if !strings.HasPrefix(k, "users/ann/file_groups/leaf/") {
			t.Errorf("%s", k)
		}
	}
}

func TestFileOutIsRefused(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "visitors")
	c, _ := startFiles(t, returning, withBoxes(t, s, "visitors"))
	for _, what := range []string{"missing", "folder", "pipe", "device", "number", "none", "nul", "second is missing",
		"not encoded", "too many", "too large"} {
		a := c.predict(500, returns(what), signed(t, "ann")...)
		if a.slug() != "invalid-result" || a.Detail == "" {
			t.Errorf("%s: %s", what, a.body)
		}
	}
	if a := c.predict(403, returns("one")); a.slug() != "file-needs-user" {
		t.Errorf("anonymous: %s", a.body)
	}
	if left := s.keys(t, "visitors"); len(left) > 0 {
		t.Errorf("stored: %v", left)
	}
	c.predict(200, returns("nothing"))

	s.buckets["weights"] = s.Bucket(t)
	none := start(t, returning, "f", withBoxes(t, s, "weights:read"))
	none.write("key", key)
	for name, c := range map[string]*component{"a box that can only be read": none.awaitReady(),
		"no box": start(t, returning, "f").awaitReady()} {
		header := signed(t, "ann")
		if name == "no box" {
			header = nil
		}
		if a := c.predict(501, returns("one"), header...); a.slug() != "file-not-supported" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
}

// A function's process may send anything over its connection. None of it becomes an object, and
// none of it stays open here.
func TestAFunctionThatSpeaksForTheWorker(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "visitors")
	source := `
import array, json, os, socket, struct, tempfile
def connection():
    for d in os.listdir("/proc/self/fd"):
        try:
            s = socket.socket(fileno=os.dup(int(d)))
            if s.family == socket.AF_UNIX and s.getpeername().endswith("/s"): return s
        except OSError: pass
def f(inputs):
    what = inputs[0]["data"]
    c = connection()
    fd, path = tempfile.mkstemp()
    os.write(fd, b"content")
    def say(files, fds, body=b"{}"):
        meta = json.dumps({"files": files}).encode()
        c.sendmsg([struct.pack(">II", 7 << 24 | len(meta), len(body)) + meta + body], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
        os._exit(0)
    one = {"output": 0, "name": "n"}
    if what == "up": say([dict(one, name="../../../boris/x")], [fd])
    if what == "slash": say([dict(one, name="a/b")], [fd])
    if what == "empty": say([dict(one, name="")], [fd])
    if what == "dots": say([dict(one, name="..")], [fd])
    if what == "twice": say([one, one], [fd, fd])
    if what == "more files": say([one], [fd, fd])
    if what == "fewer files": say([one, dict(one, name="m")], [fd])
    if what == "no files": say([one], [])
    if what == "a socket": say([one], [c.fileno()])
    if what == "a pipe": say([one], [os.pipe()[0]])
    if what == "a folder": say([one], [os.open("/", os.O_RDONLY)])
    if what == "only written": say([one], [os.open(path, os.O_WRONLY)])
    if what == "only a path": say([one], [os.open(path, os.O_PATH)])
    if what == "no object": say("x", [fd])
    if what == "too many": say([one], [fd] * 65)
    return []
`
	c, _ := startFiles(t, source, withBoxes(t, s, "visitors"))
	whats := []string{"up", "slash", "empty", "dots", "twice", "more files", "fewer files", "no files", "a socket",
		"a pipe", "a folder", "only written", "only a path", "no object", "too many"}
	for _, what := range whats {
		a, err := c.post(t.Context(), returns(what), signed(t, "ann")...)
		if err != nil || a.status < 500 || !slices.Contains([]string{"invalid-result", "storage-unavailable",
			"function-died"}, a.slug()) {
			t.Errorf("%s: %v %s", what, err, a.body)
		}
	}
	eventually(t, "another worker", func() bool { // one that answers and ends may get a call before its end is noticed
		a, err := c.post(t.Context(), returns("nothing"), signed(t, "ann")...)
		return err == nil && a.status == 200
	})
	if left := s.keys(t, "visitors"); len(left) > 0 {
		t.Errorf("stored: %v", left)
	}
}

// opened counts this process's descriptors of files, without sockets: connections to the storage
// are kept for later calls.
func opened(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, x := range all {
		if to, err := os.Readlink("/proc/self/fd/" + x.Name()); err == nil && !strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// Not parallel: it counts this process's descriptors.
func TestFilesLeaveNoDescriptorOpen(t *testing.T) {
	s := newStorage(t, "visitors")
	s.put(t, "visitors", "users/ann/file_groups/g/a", "ann's")
	c, o := startFiles(t, returning, withBoxes(t, s, "visitors"))
	count := func() float64 {
		return c.predict(200, returns("descriptors"), signed(t, "ann")...).number()
	}
	c.predict(200, returns("one"), signed(t, "ann")...)
	before, its := opened(t), count()
	for i := range 100 {
		switch i % 5 {
		case 0:
			c.predict(200, file("g/a"), signed(t, "ann")...)
		case 1:
			c.predict(200, returns("two"), signed(t, "ann")...)
		case 2:
			c.predict(500, returns("second is missing"), signed(t, "ann")...)
		case 3:
			c.predict(403, returns("one"))
		case 4:
			ctx, leave := context.WithTimeout(t.Context(), 30*time.Millisecond)
			if a, err := c.post(ctx, returns("slow"), signed(t, "ann")...); err == nil {
				t.Errorf("the caller did not leave: %s", a.body)
			}
			leave()
		}
	}
	c.predict(500, returns("not encoded"), signed(t, "ann")...)
	if after := count(); after != its {
		t.Errorf("the worker has %v descriptors, before %v", after, its)
	}
	c.predict(502, returns("die with a file open"), signed(t, "ann")...)
	empty(t, o.files)
	eventually(t, "as many descriptors as before", func() bool { return opened(t) <= before })
}

// What a function returns goes into a box as a whole, or not at all. The box is counted by the
// controller; whoever writes asks, by his session, how full it is.
func TestFilesIntoAFullBox(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "visitors", "other")
	s.usage["visitors"] = databox.UsageOf(s.Bucket(t), "pu-ann", "visitors")
	fill := func(used int64) {
		t.Helper()
		if err := s3.WriteUsage(t.Context(), s.Client, s.usage["visitors"],
			databox.Usage{Capacity: 100, Used: used}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct { // "two" returns three files of a byte each
		used int64
		want int
		left int // files in the box afterwards
	}{{100, 507, 0}, {99, 507, 0}, {98, 507, 0}, {120, 507, 0}, {97, 200, 3}} {
		fill(c.used)
		// A component of its own: how full a box is, is remembered for a moment.
		component, _ := startFiles(t, returning, withBoxes(t, s, "visitors", "other"))
		a := component.predict(c.want, returns("two"), signed(t, "ann")...)
		if c.want == 507 && (a.slug() != "box-full" || !strings.Contains(a.body, "visitors") ||
			a.header.Get("Retry-After") != "") {
			t.Errorf("at %d of 100 bytes: %s", c.used, a.body)
		}
		if all := s.keys(t, "visitors"); len(all) != c.left {
			t.Errorf("at %d of 100 bytes there lie %v afterwards", c.used, all)
		}
	}
	// Boxes that nobody counts, and files that are read, are not refused.
	fill(100)
	s.put(t, "visitors", "users/ann/file_groups/g/a", "x")
	reader, _ := startFiles(t, readingFiles, withBoxes(t, s, "visitors"))
	reader.predict(200, file("g/a"), signed(t, "ann")...)
	uncounted, _ := startFiles(t, returning, withBoxes(t, s, "other"))
	uncounted.predict(200, returns("two"), signed(t, "ann")...)
}
