//go:build integration

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/unip-knative/unip/eventing/databox/miniotest"
)

// withBox starts a component whose model is the object m.txt of a box of its own; put stores
// another version of it and returns its ETag.
func withBox(t *testing.T, source string, change ...func(*setup)) (c *component, put func(text string)) {
	t.Helper()
	s := miniotest.Start(t)
	bucket := s.Bucket(t)
	s.Put(t, bucket, "m.txt", "0")
	c = start(t, source, "f", append([]func(*setup){withModel}, change...)...)
	c.session(s, bucket)
	return c.awaitReady(), func(text string) { s.Put(t, bucket, "m.txt", text) }
}

// serves waits until all workers serve this version, by asking for it many times.
func (c *component) serves(text string) (last answer) {
	c.t.Helper()
	in := 0
	eventually(c.t, text+" in service", func() bool {
		last = c.predict(200, "{}")
		if in++; len(last.Outputs) == 0 || last.Outputs[0].Data != text {
			in = 0
		}
		return in > 10 && last.header.Get("Unip-Model-State") == ""
	})
	return last
}

// refuses waits until so many versions were known to be of no use, the last one as well.
func (c *component) refuses(versions int) {
	c.t.Helper()
	eventually(c.t, "a version that is refused", func() bool {
		return c.predict(200, "{}").header.Get("Unip-Model-State") == "outdated" && strings.Contains(c.scrape(),
			fmt.Sprintf(`unip_model_updates_total{outcome="refused"} %d`, versions))
	})
}

// Two workers, 50 calls a second, and ten changes of the model: no call fails, none is answered by
// what is not a whole version, none waits more than a second longer than before. Import and loading
// take a while, as they do. There are never more than two versions on the disk, and at the end one.
func TestAModelThatChangesUnderLoad(t *testing.T) {
	t.Parallel()
	c, put := withBox(t, `
import time
time.sleep(0.2)
def load(path):
    time.sleep(0.2)
    return "loaded " + open(path).read()
def f(model):
    time.sleep(0.005)
    return [{"name": "text", "data": model}]
`, func(o *setup) { o.workers = 2 })
	c.serves("loaded 0")
	l := c.load(t)
	quiet := l.until(t, 3*time.Second)
	var longest time.Duration
	for i := 1; i <= 10; i++ {
		put(fmt.Sprint(i))
		eventually(t, "the change", func() bool {
			if n := c.versions(); n > 2 {
				t.Errorf("%d versions lie on the disk", n)
			}
			return strings.Count(c.log.String(), `"a newer model is in service"`) == i
		})
		longest = max(longest, l.longest())
	}
	l.stop()
	t.Logf("%d calls, %d failed; longest before %s, during ten changes %s", l.calls, len(l.failed), quiet, longest)
	if len(l.failed) > 0 {
		t.Errorf("failed: %q", l.failed)
	}
	if longest > quiet+time.Second {
		t.Errorf("a call took %s, before the changes none took more than %s", longest, quiet)
	}
	if len(l.texts) < 11 {
		t.Errorf("of the versions only %d have answered: %v", len(l.texts), l.texts)
	}
	for text, etags := range l.texts {
		if len(etags) != 1 {
			t.Errorf("%q says in its header that it is each of %v", text, etags)
		}
	}
	c.serves("loaded 10")
	if n := c.versions(); n != 1 {
		t.Errorf("%d versions lie on the disk at the end", n)
	}
	if ended := strings.Count(c.log.String(), `"how":"was replaced"`); ended != 20 {
		t.Errorf("%d workers were replaced, not 20", ended)
	}
	if m := c.scrape(); !strings.Contains(m, `unip_model_updates_total{outcome="served"} 10`) ||
		!strings.Contains(m, "unip_workers 2\n") {
		t.Errorf("%s", m)
	}
}

// versions is how many versions of the model lie on the disk.
func (c *component) versions() int {
	n := 0
	for _, path := range []string{"model", "next/model"} {
		if info, err := os.Lstat(filepath.Join(c.dir, path)); err == nil && info.Mode()&os.ModeSymlink == 0 {
			n++
		}
	}
	return n
}

func (c *component) scrape() string {
	c.t.Helper()
	resp, err := client.Get(c.metrics + "/metrics")
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		c.t.Fatal(err)
	}
	return b.String()
}

// load is 50 calls a second, each of them on its time, whatever became of those before.
type load struct {
	mu     sync.Mutex
	calls  int
	worst  time.Duration // since it was asked last
	failed []string
	texts  map[string]map[string]bool // answers, and the ETags that they had
	stop   func()
}

func (c *component) load(t *testing.T) *load {
	l := &load{texts: map[string]map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	done := make(chan struct{})
	l.stop = sync.OnceFunc(func() { cancel(); <-done; calls.Wait() })
	t.Cleanup(l.stop)
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case due := <-tick.C:
				calls.Go(func() { l.note(due, c) })
			}
		}
	}()
	return l
}

func (l *load) note(due time.Time, c *component) {
	a, err := c.post(context.Background(), "{}")
	took := time.Since(due)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	l.worst = max(l.worst, took)
	if err != nil || a.status != 200 || len(a.Outputs) != 1 {
		l.failed = append(l.failed, fmt.Sprint(a.status, a.body, err))
		return
	}
	text := fmt.Sprint(a.Outputs[0].Data)
	if l.texts[text] == nil {
		l.texts[text] = map[string]bool{}
	}
	l.texts[text][a.header.Get("Unip-Model-Etag")] = true
}

func (l *load) longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	worst := l.worst
	l.worst = 0
	return worst
}

// until waits for as many calls as there are in this time, and says how long the longest took.
func (l *load) until(t *testing.T, length time.Duration) time.Duration {
	t.Helper()
	eventually(t, "calls", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.calls >= int(length/(20*time.Millisecond))
	})
	return l.longest()
}

// A version that cannot be loaded serves nobody, and is not tried again; the next one that can is
// taken up. So is one whose worker ends with it, and one that is the older one again.
func TestABrokenModelNeverServes(t *testing.T) {
	t.Parallel()
	for _, updates := range []string{updatesSwap, updatesRestart} {
		t.Run(updates, func(t *testing.T) {
			t.Parallel()
			c, put := withBox(t, `
import os
def load(path):
    text = open(path).read()
    if text == "broken":
        raise ValueError("these are no weights")
    if text == "deadly":
        os._exit(9)
    return text
def f(model):
    return [{"name": "text", "data": model}]
`, func(o *setup) { o.workers, o.updates = 2, updates })
			first := c.serves("0")
			for i, bad := range []string{"broken", "deadly"} {
				put(bad)
				c.refuses(i + 1)
				if a := c.stays("0"); a.header.Get("Unip-Model-Etag") != first.header.Get("Unip-Model-Etag") {
					t.Errorf("%v", a.header)
				}
				if m := c.scrape(); !strings.Contains(m, "unip_model_outdated 1") {
					t.Errorf("%s", m)
				}
			}
			log := c.log.String()
			if !strings.Contains(log, "ValueError: these are no weights") || !strings.Contains(log, "exit code 9") {
				t.Errorf("the log does not say what is wrong")
			}
			put("good")
			c.serves("good")
			if m := c.scrape(); !strings.Contains(m, "unip_model_outdated 0") {
				t.Errorf("%s", m)
			}
			put("broken")
			c.refuses(3)
			put("good")
			c.serves("good")
			if n := c.versions(); n != 1 {
				t.Errorf("%d versions lie on the disk", n)
			}
		})
	}
}

// stays waits until two workers take calls, while a newer version is refused, and holds what they
// answer against the older one.
func (c *component) stays(text string) (last answer) {
	c.t.Helper()
	eventually(c.t, "both workers", func() bool { return strings.Contains(c.scrape(), "unip_workers 2\n") })
	for range 20 {
		if last = c.predict(200, "{}"); last.Outputs[0].Data != text {
			c.t.Errorf("%s", last.body)
		}
	}
	return last
}

// alone is a function whose process must be the only one that has a model.
const alone = `
import fcntl
def load(path):
    global held
    held = open("held", "a")
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return open(path).read()
def f(model):
    return [{"name": "text", "data": model}]
`

// Where memory does not hold two models, the worker ends before the one that takes its place loads;
// calls wait meanwhile. Where it does, it ends after. restart is without asking.
func TestMemoryThatHoldsOneModel(t *testing.T) {
	t.Parallel()
	// worker.py with another /sys/fs/cgroup
	limited := func(limit string) func(*setup) {
		return func(o *setup) {
			dir := filepath.Dir(o.socket)
			for name, text := range map[string]string{
				"memory.max": limit, "memory.current": "300000000",
				"memory.stat": "anon 1\nactive_file 1000\ninactive_file 200000000\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			o.python = []string{"python3", "-c", `
import builtins, sys
real = open
builtins.open = lambda path, *a, **k: real(str(path).replace("/sys/fs/cgroup/", "` + dir + `/"), *a, **k)
del sys.argv[0]
exec(compile(real(sys.argv[0]).read(), sys.argv[0], "exec"), {"__name__": "__main__", "__file__": sys.argv[0]})`}
		}
	}
	t.Run("by the container's limit", func(t *testing.T) {
		t.Parallel()
		c, put := withBox(t, alone, limited("102000000"))
		l := c.load(t)
		put("1")
		c.serves("1")
		l.stop()
		if len(l.failed) > 0 {
			t.Errorf("%q", l.failed)
		}
		if !strings.Contains(c.log.String(), "workers are changed one at a time") {
			t.Error("the log does not say why")
		}
	})
	t.Run("there is room", func(t *testing.T) {
		t.Parallel()
		c, put := withBox(t, alone, limited("max"))
		put("1")
		c.refuses(1) // it finds the other one there
	})
	t.Run("there is just room", func(t *testing.T) {
		t.Parallel()
		c, put := withBox(t, alone, limited("400000000"))
		put("1")
		c.refuses(1)
	})
	t.Run("by the annotation", func(t *testing.T) {
		t.Parallel()
		c, put := withBox(t, alone, func(o *setup) { o.updates = updatesRestart })
		l := c.load(t)
		for i := 1; i <= 3; i++ {
			put(fmt.Sprint(i))
			c.serves(fmt.Sprint(i))
		}
		l.stop()
		if len(l.failed) > 0 {
			t.Errorf("%q", l.failed)
		}
	})
}

// A call that runs when the model changes is answered by the worker that has it.
func TestACallThatGoesOnWhileTheModelChanges(t *testing.T) {
	t.Parallel()
	c, put := withBox(t, `
import os, time
def f(inputs, model):
    text = open(model).read()
    while inputs and not os.path.exists("go"):
        time.sleep(0.005)
    return [{"name": "text", "data": text + open(model).read()}]
`)
	long := make(chan answer, 1)
	go func() {
		a, err := c.post(context.Background(), `{"inputs":[{"name":"x","data":"x"}]}`)
		if err != nil {
			t.Error(err)
		}
		long <- a
	}()
	eventually(t, "the call", func() bool { return strings.Contains(c.scrape(), "unip_workers_busy 1\n") })
	put("1")
	c.predict(200, "{}") // another worker takes it
	c.write("app/go", "")
	if a := <-long; a.status != 200 || a.Outputs[0].Data != "00" {
		t.Errorf("%d %s", a.status, a.body)
	}
	c.serves("11")
}

// What is found by the model's own path, whatever the function is given, is the version in service;
// a folder has nothing of the one before.
func TestAFolderThatChanges(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	bucket := s.Bucket(t)
	storage, err := minio.New(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(miniotest.AccessKey, miniotest.SecretKey, ""), Region: "us-east-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Put(t, bucket, "m/a/b.txt", "0")
	s.Put(t, bucket, "m/c0.txt", "0")
	c := start(t, `
import os
def f(model):
    files = sorted(os.path.relpath(os.path.join(d, n), model) for d, _, ns in os.walk(model) for n in ns)
    return [{"name": "n", "data": [open("../model/a/b.txt").read()] + files}]
`, "f", func(o *setup) { o.object = "m/" })
	c.session(s, bucket)
	c.awaitReady()
	for i := 1; i <= 3; i++ {
		s.Put(t, bucket, fmt.Sprintf("m/c%d.txt", i), "x")
		s.Put(t, bucket, "m/a/b.txt", fmt.Sprint(i))
		if err := storage.RemoveObject(t.Context(), bucket, fmt.Sprintf("m/c%d.txt", i-1),
			minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`{"outputs":[{"name":"n","data":["%d","a/b.txt","c%d.txt"],"datatype":"str","shape":[3]}]}`, i, i)
		eventually(t, want, func() bool {
			a, err := c.post(t.Context(), "{}")
			return err == nil && a.body == want
		})
	}
}

func TestAModelThatIsNotFollowed(t *testing.T) {
	t.Parallel()
	c, put := withBox(t, alone, func(o *setup) { o.updates = updatesOff })
	other := start(t, alone, "f", withModel)
	session, err := os.ReadFile(filepath.Join(c.dir, "session.json"))
	if err != nil {
		t.Fatal(err)
	}
	other.write("session.json", string(session))
	other.awaitReady()
	put("1")
	other.refuses(1) // it has seen the newer one
	if a := c.predict(200, "{}"); a.Outputs[0].Data != "0" || a.header.Get("Unip-Model-State") != "" {
		t.Errorf("%s %v", a.body, a.header)
	}
	if log := c.log.String(); strings.Count(log, "model fetched") != 1 {
		t.Errorf("%s", log)
	}
}
