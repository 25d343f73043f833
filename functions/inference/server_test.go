package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unip-knative/unip/e2e/freeport"
	"github.com/unip-knative/unip/functions/inference/worker"
)

// component is a server in this process with real Python workers, as the two containers of a pod
// are.
type component struct {
	t   *testing.T
	dir string // what /unip is in a pod
	url string
	// metrics is the URL of the port for Prometheus.
	metrics string
	worker  *exec.Cmd
	output  *syncBuffer // of the worker's processes
	log     *syncBuffer // of the server
	ended   chan error
	// stopServer ends the server and waits for it; it may be called again.
	stopServer func()
}

// syncBuffer is a buffer that processes write to while a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// memory that it takes, in bytes.
func (s *syncBuffer) memory() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Cap()
}

// setup is how a component is started.
type setup struct {
	options
	python            []string // runs the worker instead of python3
	inference, loader string   // instead of m:<function> and m:load
	hidden            bool     // a mount hides the function's folder
	covered           bool     // the model's folder does
	link              string   // path below the working folder of a link to the model
}

// start starts a component of a Python module `m` with the given source, and function.
func start(t *testing.T, source, function string, change ...func(*setup)) *component {
	t.Helper()
	return startPython(t, "-B", source, function, change...)
}

// startPython does it with a flag for the Python of the workers: -S keeps it from everything
// outside the standard library.
func startPython(t *testing.T, flag, source, function string, change ...func(*setup)) *component {
	t.Helper()
	return startWith(t, "python3", flag, source, function, change...)
}

// startWith does it with another Python.
func startWith(t *testing.T, python, flag, source, function string, change ...func(*setup)) *component {
	t.Helper()
	c := &component{t: t, dir: t.TempDir(), output: &syncBuffer{}, log: &syncBuffer{}, ended: make(chan error, 1)}
	app := filepath.Join(c.dir, "app")
	c.write("app/m.py", source)
	for name, source := range worker.Files() {
		c.write(name, string(source))
	}
	o := setup{options: options{
		component: "leaf", socket: filepath.Join(c.dir, "s"), key: filepath.Join(c.dir, "key"), port: freeport.Find(t),
		workers: 1, queue: 100, timeout: 10 * time.Second,
		session: filepath.Join(c.dir, "session.json"), file: filepath.Join(c.dir, "model"),
		path:    filepath.Join(c.dir, "model"),
		updates: updatesSwap, next: filepath.Join(c.dir, "next"), pace: 50 * time.Millisecond,
		metrics: freeport.Address(t), maxBody: 64 << 20, accessLog: true, anonymous: true,
	}}
	loader := ""
	for _, f := range change {
		f(&o)
	}
	if o.object != "" && strings.Contains(source, "def load(") {
		loader = cmp.Or(o.loader, "m:load")
	}
	c.url, c.metrics = fmt.Sprintf("http://127.0.0.1:%d", o.port), "http://"+o.metrics
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- run(ctx, o.options, c.log) }()
	c.stopServer = sync.OnceFunc(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("server: %v", err)
		}
	})

	command := o.python
	if command == nil {
		command = []string{python, flag}
	}
	args := append(slices.Clone(command[1:]), filepath.Join(c.dir, worker.Main), "--socket", o.socket, "--inference",
		cmp.Or(o.inference, "m:"+function),
		"--model-loader", loader, "--workers", fmt.Sprint(o.workers))
	if o.hidden {
		args = append(args, "--mounts", "/elsewhere:"+app)
	}
	if o.covered {
		args = append(args, "--model-folder", app)
	}
	if o.link != "" {
		args = append(args, "--model-link", filepath.Join(app, o.link), "--model-file", o.path)
	}
	c.worker = exec.Command(command[0], args...)
	c.worker.Dir = app
	c.worker.Env = append(os.Environ(), "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1")
	c.worker.Stdout, c.worker.Stderr = c.output, c.output
	c.worker.WaitDelay = 10 * time.Second // for processes that it leaves behind and that hold its output
	if err := c.worker.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.ended <- c.worker.Wait() }()
	t.Cleanup(func() {
		_ = c.worker.Process.Signal(os.Interrupt)
		<-c.ended
		c.stopServer()
		if t.Failed() {
			t.Logf("worker:\n%s\nserver:\n%s", c.output, c.log)
		}
	})
	return c
}

func (c *component) write(name, content string) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", []byte(content), 0o644); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil { // whole or not at all, as kubelet does it
		c.t.Fatal(err)
	}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 15 s", what)
		}
	}
}

func (c *component) ready() bool {
	resp, err := http.Get(c.url + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (c *component) awaitReady() *component {
	c.t.Helper()
	eventually(c.t, "ready", c.ready)
	return c
}

// answer of a call.
type answer struct {
	status  int
	header  http.Header
	body    string
	Outputs []struct {
		Name, Datatype string
		Shape          any
		Data           any
	}
	Type, Detail string
	Errors       []struct{ Pointer string }
}

// number is the one that the first output has; none is 0.
func (a answer) number() float64 {
	if len(a.Outputs) == 0 {
		return 0
	}
	list, _ := a.Outputs[0].Data.([]any)
	if len(list) != 1 {
		return 0
	}
	n, _ := list[0].(float64)
	return n
}

func (a answer) slug() string { return filepath.Base(a.Type) }

// client of the tests. Connections are its own, so that a test can count what is left.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}

func (c *component) post(ctx context.Context, body string, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/predict", strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
	_ = json.Unmarshal(b, &a) // not every body is JSON
	return a, err
}

// predict calls and wants a status.
func (c *component) predict(want int, body string, header ...string) answer {
	c.t.Helper()
	a, err := c.post(c.t.Context(), body, header...)
	if err != nil {
		c.t.Fatal(err)
	}
	if a.status != want {
		c.t.Errorf("%.200s: %d %s, want %d", body, a.status, a.body, want)
	}
	return a
}

func sum(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
