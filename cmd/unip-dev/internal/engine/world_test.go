package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/unip-knative/unip/cmd/unip-dev/internal/storage"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/translate/module"
)

// asEngine has the test's own binary be a program with an engine; its value is the program's world.
const asEngine = "UNIP_TEST_ENGINE"

// TestMain lets the test's own binary be killed in the place of unip dev.
func TestMain(m *testing.M) {
	Guard()
	Enter()
	text := os.Getenv(asEngine)
	if text == "" {
		os.Exit(test(m))
	}
	var p program
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	e, err := Open(Options{Module: p.Module, Dir: p.Dir, Code: p.Code, Session: p.Session})
	if err != nil {
		panic(err)
	}
	if p.Obeys {
		go obey(e, p.Dir)
	}
	panic(e.Serve(context.Background()))
}

// program is what such a program is given.
type program struct {
	Module    *module.Module
	Dir, Code string
	Session   databox.Session
	Obeys     bool // what it is told at its address
}

// server is the storage of all tests, each of which has a module of its own.
var server *storage.Server

func test(m *testing.M) int {
	dir, err := os.MkdirTemp("", "engine")
	if err != nil {
		panic(err)
	}
	if server, err = storage.Open(context.Background(), storage.Options{Dir: dir}); err != nil {
		panic(err)
	}
	defer func() {
		fmt.Fprintln(os.Stderr, "the end of the storage:", errors.Join(server.Close(), os.RemoveAll(dir)))
	}()
	return m.Run()
}

var count atomic.Int64

type world struct {
	*testing.T
	*minio.Client
	namespace, bucket, runs string // the bucket is that of the box userdata
	options                 Options
	now                     func() time.Time // of the engine; nil is the clock

	mu       sync.Mutex
	happened []Happening
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// newWorld is a module of pipelines on a storage of its own.
func newWorld(t *testing.T, pipelines ...module.Pipeline) *world {
	t.Helper()
	w := &world{T: t, namespace: fmt.Sprintf("pu-ann-pa-leaves%d", count.Add(1))}
	w.bucket, w.runs = databox.UsualBuckets.Box(w.namespace, "userdata"), databox.UsualBuckets.Runs(w.namespace)
	session := server.Session("any", "")
	var err error
	w.Client, err = s3.NewClient(session, s3.Static(session))
	w.must(err)
	m := &module.Module{Namespace: w.namespace, Pipelines: pipelines}
	for _, name := range []string{"userdata", "weights"} {
		m.Boxes = append(m.Boxes, module.Box{Name: name,
			Spec: platformv1.DataBoxSpec{S3DefaultStorage: &platformv1.S3DefaultStorage{}}})
		w.must(server.Add(storage.Box{Name: w.namespace + name, Bucket: databox.UsualBuckets.Box(w.namespace, name)}))
	}
	w.must(server.Add(storage.Box{Name: w.namespace + "runs", Bucket: w.runs}))
	w.put(key("in/t.csv"), "1,2\n")
	w.options = Options{Module: m, Dir: t.TempDir(), Code: t.TempDir(), Session: session}
	return w
}

// put puts an object into the box userdata.
func (w *world) put(key, content string) {
	w.Helper()
	_, err := w.PutObject(w.Context(), w.bucket, key, strings.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{})
	w.must(err)
}

func key(path string) string { return databox.UserPrefix("ann") + path }

// open opens the engine and has it work until the test ends or stop is called.
func (w *world) open() (e *Engine, stop func()) {
	w.Helper()
	o := w.options
	o.Happened = func(h Happening) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.happened = append(w.happened, h)
	}
	e, err := Open(o)
	w.must(err)
	if w.now != nil {
		e.now = w.now
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			w.must(err)
		case <-time.After(2 * stopWithin):
			w.Error("the engine does not end")
		}
	})
	w.Cleanup(stop)
	return e, stop
}

// line makes a stage "name: in -> out" that runs a shell's script.
func line(text, script string, change ...func(*runtimev1.Stage)) runtimev1.Stage {
	name, rest, _ := strings.Cut(text, ":")
	in, out, _ := strings.Cut(rest, "->")
	s := runtimev1.Stage{Name: name, Image: "image", Inputs: strings.Fields(in), Outputs: strings.Fields(out),
		Command: []string{"sh", "-euc", script}, TimeoutSeconds: 60}
	for _, c := range change {
		c(&s)
	}
	return s
}

func pipe(name string, stages ...runtimev1.Stage) module.Pipeline {
	p := module.Pipeline{Name: name}
	p.Spec.DefaultBox = "userdata"
	p.Spec.Stages = stages
	for _, s := range stages {
		for _, v := range slices.Concat(s.Inputs, s.Outputs) {
			if !slices.ContainsFunc(p.Spec.Variables, func(x runtimev1.Variable) bool { return x.Name == v }) {
				p.Spec.Variables = append(p.Spec.Variables, runtimev1.Variable{Name: v})
			}
		}
	}
	return p
}

var names = 0

// begin makes a run by a call of ann.
func (w *world) begin(e *Engine, pipeline string, change ...func(*runtimev1.PipelineRun)) *runtimev1.PipelineRun {
	w.Helper()
	r := w.newRun(pipeline)
	for _, c := range change {
		c(r)
	}
	w.must(e.Create(w.Context(), r))
	return r
}

func (w *world) newRun(pipeline string) *runtimev1.PipelineRun {
	w.mu.Lock()
	defer w.mu.Unlock()
	names++
	r := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%04d", pipeline, names)}}
	r.Spec = runtimev1.PipelineRunSpec{Pipeline: pipeline, User: "ann", Origin: runtimev1.OriginAPI,
		Inputs: map[string]runtimev1.InputPath{"table": {Path: "userdata/in/t.csv"}}, Outputs: map[string]string{}}
	return r
}

// until waits for a run to be as a test wants it.
func (w *world) until(
	e *Engine, r *runtimev1.PipelineRun, is func(*runtimev1.PipelineRun) bool,
) *runtimev1.PipelineRun {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	now, err := e.Run(ctx, r.Name)
	for w.must(err); !is(now); {
		last := now
		if now, err = e.Change(ctx, now); now == nil {
			b, _ := json.MarshalIndent(last.Status, "", " ")
			w.Fatalf("the run stays as it is: %v\n%s", err, b)
		}
	}
	return now
}

func done(r *runtimev1.PipelineRun) bool { return r.Status.State.Done() }

func (w *world) get(bucket, key string) string {
	w.Helper()
	o, err := w.GetObject(w.Context(), bucket, key, minio.GetObjectOptions{})
	w.must(err)
	b, err := io.ReadAll(o)
	if err != nil {
		w.Fatalf("%s: %v", key, err)
	}
	return string(b)
}

// eventually waits for what is in no run.
func (w *world) eventually(what string, is func() bool) {
	w.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); {
		if time.Now().After(end) {
			w.Fatal("never: " + what)
		}
		select {
		case <-w.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func stageOf(r *runtimev1.PipelineRun, name string) runtimev1.StageStatus {
	for _, s := range r.Status.Stages {
		if s.Name == name {
			return s
		}
	}
	return runtimev1.StageStatus{}
}

// processes are those of all attempts of the world.
func (w *world) processes() []int {
	dir, err := filepath.EvalSymlinks(w.options.Dir)
	w.must(err)
	return marked(func(mark string) bool { return strings.HasPrefix(mark, markEnv+"="+dir+"/") })
}

// way is a way to the storage on which some requests are lost, with their connections.
func (w *world) way(passes func(*http.Request) bool) (endpoint string) {
	w.Helper()
	target, err := url.Parse(server.Endpoint())
	w.must(err)
	on := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !passes(r) {
			panic(http.ErrAbortHandler)
		}
		on.ServeHTTP(rw, r)
	}))
	w.Cleanup(s.Close)
	return s.URL
}

// program is the test's own binary with the world's engine.
func (w *world) program(o Options) *exec.Cmd {
	w.Helper()
	return w.run(program{Module: o.Module, Dir: o.Dir, Code: o.Code, Session: o.Session})
}

func (w *world) run(p program) *exec.Cmd {
	w.Helper()
	text, err := json.Marshal(p)
	w.must(err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asEngine+"="+string(text))
	cmd.Stderr = os.Stderr
	w.must(cmd.Start())
	w.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// place puts a run where the next engine finds it.
func (w *world) place(pipeline string) *runtimev1.PipelineRun {
	w.Helper()
	s, err := openStore(filepath.Join(w.options.Dir, "runs"))
	w.must(err)
	r := w.newRun(pipeline)
	r.Namespace = w.namespace
	w.must(s.create(r))
	return r
}

// childrenNamed are the processes that a process has made, by their first argument.
func childrenNamed(t *testing.T, parent int, name string) []int {
	t.Helper()
	out, err := exec.Command("ps", "-eo", "pid=,ppid=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for l := range strings.Lines(string(out)) {
		f := strings.Fields(l)
		if len(f) > 2 && f[1] == strconv.Itoa(parent) && f[2] == name {
			pid, err := strconv.Atoi(f[0])
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, pid)
		}
	}
	return found
}
