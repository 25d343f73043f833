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
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/unip-knative/unip/cmd/unip-dev/internal/storage"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/record"
	"github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/gateway/service"
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
	w.bucket, w.runs = databox.BucketName(w.namespace, "userdata"), databox.RunBucketName(w.namespace)
	session := server.Session("any", "")
	var err error
	w.Client, err = s3.NewClient(session, s3.Static(session))
	w.must(err)
	m := &module.Module{Namespace: w.namespace, Pipelines: pipelines}
	for _, name := range []string{"userdata", "weights"} {
		m.Boxes = append(m.Boxes, module.Box{Name: name,
			Spec: platformv1.DataBoxSpec{S3DefaultStorage: &platformv1.S3DefaultStorage{}}})
		w.must(server.Add(storage.Box{Name: w.namespace + name, Bucket: databox.BucketName(w.namespace, name)}))
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
	r := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", pipeline, names)}}
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

// A diamond: what a stage writes is what the next ones read, two of them at the same time; the last
// output lies among the user's files, with run.json beside it.
func TestADiamond(t *testing.T) {
	t.Parallel()
	meet := t.TempDir()
	// each of the two ends when the other has begun
	fit := func(me, other string) string {
		return fmt.Sprintf(`touch %[1]s/%[2]s; until [ -e %[1]s/%[3]s ]; do sleep 0.02; done
			cat "$UNIP_PIPELINE_PREPARED/p" > "$UNIP_PIPELINE_%[4]s/out"; echo %[2]s >> "$UNIP_PIPELINE_%[4]s/out"`,
			meet, me, other, strings.ToUpper(me))
	}
	w := newWorld(t, pipe("train",
		line("report: left right -> report", `cat "$UNIP_PIPELINE_LEFT/out" "$UNIP_PIPELINE_RIGHT/out" > "$UNIP_PIPELINE_REPORT/all"
			echo "user ${UNIP_USER-nobody}" >> "$UNIP_PIPELINE_REPORT/all"`),
		line("fit-left: prepared -> left", fit("left", "right")),
		line("fit-right: prepared -> right", fit("right", "left")),
		line("prepare: table -> prepared", `cat "$UNIP_PIPELINE_TABLE" > "$UNIP_PIPELINE_PREPARED/p"; echo reading; pwd; echo $HOME $TMPDIR
			case "$UNIP_PIPELINE_TABLE" in */t.csv) ;; *) exit 9;; esac; echo code > new.txt; cat code.txt`)))
	w.must(os.WriteFile(filepath.Join(w.options.Code, "code.txt"), []byte("the module's code\n"), 0o600))
	e, _ := w.open()
	r := w.begin(e, "train", func(r *runtimev1.PipelineRun) { r.Spec.IdentityPassThrough = true })
	r = w.until(e, r, over)
	if r.Status.State != runtimev1.Succeeded {
		t.Fatalf("%s: %s", r.Status.State, r.Status.Message)
	}
	at := key("train/" + r.Name + "/")
	if got, want := w.get(w.bucket, at+"report/all"), "1,2\nleft\n1,2\nright\nuser ann\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var f record.File
	w.must(json.Unmarshal([]byte(w.get(w.bucket, at+"run.json")), &f))
	if f.Status != runtimev1.Succeeded || f.User != "ann" || len(f.Stages) != 4 {
		t.Errorf("%+v", f)
	}
	if _, err := os.Stat(filepath.Join(w.options.Code, "new.txt")); err == nil {
		t.Error("a stage has written among the module's code")
	}
	log := stage.LogKey(r.Name, "prepare", 1)
	w.eventually("the log is kept", func() bool {
		_, err := w.StatObject(t.Context(), w.runs, log, minio.StatObjectOptions{})
		return err == nil
	})
	text := w.get(w.runs, log)
	if !strings.HasPrefix(text, "reading\n"+w.options.Dir) || !strings.HasSuffix(text, "the module's code\n") ||
		strings.Count(text, w.options.Dir) != 3 {
		t.Errorf("%q", text)
	}
	w.eventually("the attempts' folders go", func() bool {
		left, err := os.ReadDir(filepath.Join(w.options.Dir, "attempts"))
		return err == nil && len(left) == 0
	})
	if _, err := e.Log(t.Context(), r, &r.Status.Stages[0], false); !errors.Is(err, service.ErrNoLog) {
		t.Errorf("%v", err)
	}
}

// What a stage fails with is told as in a cluster.
func TestHowStagesFail(t *testing.T) {
	t.Parallel()
	limit := func(s *runtimev1.Stage) {
		s.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
	}
	python := func(code string) func(*runtimev1.Stage) {
		return func(s *runtimev1.Stage) { s.Command = []string{"python3", "-c", code} }
	}
	cases := map[string]struct {
		stage   runtimev1.Stage
		reason  string
		message string
		code    int32
	}{
		"an exception": {line("fit: table -> model", "", python("print('row 1'); raise ValueError('no rows')")),
			run.ReasonError, "exit code 1: ValueError: no rows", 1},
		"a signal": {line("fit: table -> model", "kill -TERM $$"), run.ReasonError, "exit code 143", 143},
		"its time is over": {line("fit: table -> model", "sleep 1000 & wait",
			func(s *runtimev1.Stage) { s.TimeoutSeconds = 1 }), run.ReasonDeadlineExceeded, "timeout of 1s", 0},
		"too much memory": {line("fit: table -> model", "", limit, python("x = b'x' * (300 << 20)\nimport time\ntime.sleep(60)")),
			run.ReasonOOMKilled, "its limit of 64Mi", 137},
		"too much memory of a child": {line("fit: table -> model",
			`python3 -c "x = b'x' * (300 << 20); import time; time.sleep(60)"; exit 0`, limit),
			run.ReasonOOMKilled, "its limit of 64Mi", 137},
		"no such program": {line("fit: table -> model", "", func(s *runtimev1.Stage) { s.Command = []string{"/no/such"} }),
			run.ReasonNotStarted, "/no/such", 128},
		"no command": {line("fit: table -> model", "", func(s *runtimev1.Stage) { s.Command = nil }),
			run.ReasonNotStarted, "--engine podman", 0},
		"a wrong output": {line("fit: table -> model", `ln -s /etc/passwd "$UNIP_PIPELINE_MODEL/m"`),
			run.ReasonInvalidOutput, "", 0},
		"a Secret of unip": {line("fit: table -> model", "true", func(s *runtimev1.Stage) {
			s.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "gone"}}}}
		}), run.ReasonNotStarted, "no values of Secret gone", 0},
	}
	var all []module.Pipeline
	byPipeline := map[string]string{}
	for name := range cases {
		p := fmt.Sprintf("p%d", len(all))
		byPipeline[p] = name
		all = append(all, pipe(p, cases[name].stage))
	}
	w := newWorld(t, all...)
	e, _ := w.open()
	runs := map[string]*runtimev1.PipelineRun{}
	for p, name := range byPipeline {
		runs[name] = w.begin(e, p)
	}
	for name, c := range cases {
		r := w.until(e, runs[name], done)
		st := stageOf(r, "fit")
		code := int32(0)
		if st.ExitCode != nil {
			code = *st.ExitCode
		}
		if r.Status.State != runtimev1.Failed || st.Reason != c.reason || !strings.Contains(st.Message, c.message) ||
			c.code != code && c.reason != run.ReasonOOMKilled {
			t.Errorf("%s: %s %d %q", name, st.Reason, code, st.Message)
		}
	}
	w.eventually("no process is left", func() bool { return len(w.processes()) == 0 })
}

// processes are those of all attempts of the world.
func (w *world) processes() []int {
	dir, err := filepath.EvalSymlinks(w.options.Dir)
	w.must(err)
	return marked(func(mark string) bool { return strings.HasPrefix(mark, markEnv+"="+dir+"/") })
}

// A failed attempt is repeated as often as the stage says, and what each has written is kept.
func TestRetries(t *testing.T) {
	t.Parallel()
	count := filepath.Join(t.TempDir(), "count")
	w := newWorld(t, pipe("train", line("fit: table -> model", fmt.Sprintf(
		`echo x >> %s; n=$(wc -l < %[1]s); echo "attempt $n"; [ $n -ge 2 ]; echo $n > "$UNIP_PIPELINE_MODEL/m"`, count),
		func(s *runtimev1.Stage) { s.Retries = 1 })))
	e, _ := w.open()
	r := w.until(e, w.begin(e, "train"), over)
	st := stageOf(r, "fit")
	if r.Status.State != runtimev1.Succeeded || st.Attempt != 2 || st.Failures != 1 {
		t.Fatalf("%s %s: %+v", r.Status.State, r.Status.Message, st)
	}
	if got := w.get(w.bucket, key("train/"+r.Name+"/model/m")); got != "2\n" {
		t.Errorf("%q", got)
	}
	for n := range 2 {
		w.eventually("the log is kept", func() bool {
			_, err := w.StatObject(t.Context(), w.runs, stage.LogKey(r.Name, "fit", n+1),
				minio.StatObjectOptions{})
			return err == nil
		})
		if got := w.get(w.runs, stage.LogKey(r.Name, "fit", n+1)); got != fmt.Sprintf("attempt %d\n", n+1) {
			t.Errorf("%q", got)
		}
	}
}

// A log is followed while its process writes. A run that is cancelled ends with all its processes.
func TestLogsAndCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pipe("train", line("fit: table -> model", `trap 'echo told' TERM; echo begun; (trap "" TERM; setsid sleep 1000) & wait; sleep 1000`)))
	e, _ := w.open()
	r := w.until(e, w.begin(e, "train"), func(r *runtimev1.PipelineRun) bool { return stageOf(r, "fit").StartTime != nil })
	st := stageOf(r, "fit")
	log, err := e.Log(t.Context(), r, &st, true)
	w.must(err)
	defer log.Close()
	b := make([]byte, 6)
	if _, err := io.ReadFull(log, b); err != nil || string(b) != "begun\n" {
		t.Fatalf("%q %v", b, err)
	}
	w.must(e.Cancel(t.Context(), r))
	rest, err := io.ReadAll(log)
	if err != nil || !strings.HasPrefix(string(rest), "told\n") {
		t.Errorf("%q %v", rest, err)
	}
	r = w.until(e, r, over)
	if st := stageOf(r, "fit"); r.Status.State != runtimev1.Cancelled || st.State != runtimev1.Cancelled {
		t.Errorf("%s %s", r.Status.State, st.State)
	}
	// Nothing can commit for it any more, not even a request that is still on its way.
	commit := stage.CommitKey(r.Name, "fit")
	none := minio.PutObjectOptions{}
	none.SetMatchETagExcept("*")
	if _, err := w.PutObject(t.Context(), w.runs, commit, strings.NewReader("late"), 4, none); err == nil {
		t.Error("a commit can come after the end")
	}
	w.eventually("no process is left", func() bool { return len(w.processes()) == 0 })
}

// At most as many runs of a pipeline are under way as it says, the oldest first.
func TestRunsWaitForOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := pipe("train", line("fit: table -> model", fmt.Sprintf(
		`mkdir %[1]s/busy; echo x >> %[1]s/all; sleep 0.1; rmdir %[1]s/busy`, dir)))
	p.Spec.MaxParallelRuns = 1
	w := newWorld(t, p)
	e, _ := w.open()
	var all []*runtimev1.PipelineRun
	for range 5 {
		all = append(all, w.begin(e, "train"))
	}
	for _, r := range all {
		if r = w.until(e, r, done); r.Status.State != runtimev1.Succeeded { // mkdir fails where two are at work
			t.Errorf("%s: %s", r.Name, r.Status.Message)
		}
	}
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

// A kill of unip dev ends what it has begun, also where that has made processes of its own. The next
// one goes on with the run, and no retry is spent.
func TestAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorld(t, pipe("train",
		line("prepare: table -> prepared", fmt.Sprintf(`echo x >> %s/prepared; cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_PREPARED/p"`, dir)),
		line("fit: prepared -> model", fmt.Sprintf(`echo $$ >> %[1]s/begun; (trap "" HUP; sleep 1000) &
			if [ $(wc -l < %[1]s/begun) = 1 ]; then setsid sleep 1000; fi
			kill $!; cp "$UNIP_PIPELINE_PREPARED/p" "$UNIP_PIPELINE_MODEL/m"`, dir))))
	r := w.place("train")
	cmd := w.program(w.options)
	w.eventually("the second stage begins", func() bool {
		_, err := os.Stat(filepath.Join(dir, "begun"))
		return err == nil
	})
	w.must(cmd.Process.Kill())
	_ = cmd.Wait()
	b, err := os.ReadFile(filepath.Join(dir, "begun"))
	w.must(err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	w.must(err)
	w.eventually("the stage's processes end with it", func() bool {
		return syscall.Kill(pid, 0) != nil && len(w.processes()) == 0
	})
	e, stop := w.open()
	r = w.until(e, r, done)
	st := stageOf(r, "fit")
	if r.Status.State != runtimev1.Succeeded || st.Attempt != 2 || st.Failures != 0 {
		t.Errorf("%s %s: attempt %d, %d failures", r.Status.State, r.Status.Message, st.Attempt, st.Failures)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "prepared")); string(b) != "x\n" {
		t.Errorf("the first stage ran again: %q", b)
	}
	if got := w.get(w.bucket, key("train/"+r.Name+"/model/m")); got != "1,2\n" {
		t.Errorf("%q", got)
	}
	stop()
	if left := w.processes(); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// A stage that is killed after its commit is completed, and its code does not run again.
func TestAKillAfterTheCommit(t *testing.T) {
	t.Parallel()
	count := filepath.Join(t.TempDir(), "count")
	w := newWorld(t, pipe("train", line("fit: table -> model", fmt.Sprintf(
		`echo x >> %s; cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_MODEL/m"`, count))))
	r := w.place("train")
	o := w.options
	o.Session.Endpoint = w.way(func(r *http.Request) bool {
		return r.Method != http.MethodPut || !strings.HasPrefix(r.URL.Path, "/"+w.bucket+"/")
	})
	cmd := w.program(o)
	commit := stage.CommitKey(r.Name, "fit")
	w.eventually("the commit", func() bool {
		_, err := w.StatObject(t.Context(), w.runs, commit, minio.StatObjectOptions{})
		return err == nil
	})
	w.must(cmd.Process.Kill())
	_ = cmd.Wait()
	at := key("train/" + r.Name + "/model/m")
	if _, err := w.StatObject(t.Context(), w.bucket, at, minio.StatObjectOptions{}); err == nil {
		t.Fatal("the copy was made before the kill: the test shows nothing")
	}
	e, _ := w.open()
	r = w.until(e, r, done)
	st := stageOf(r, "fit")
	if r.Status.State != runtimev1.Succeeded || st.RanAttempt != 1 || st.Attempt != 2 {
		t.Errorf("%s %s: %+v", r.Status.State, r.Status.Message, st)
	}
	if b, _ := os.ReadFile(count); string(b) != "x\n" {
		t.Errorf("the stage ran again: %q", b)
	}
	if got := w.get(w.bucket, at); got != "1,2\n" {
		t.Errorf("%q", got)
	}
}

// While storage does not answer a run waits, and goes on when it does.
func TestStorageIsAwayForAMoment(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "gate")
	w := newWorld(t, pipe("train",
		line("prepare: table -> prepared", fmt.Sprintf(`until [ -e %s ]; do sleep 0.02; done; cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_PREPARED/p"`, gate)),
		line("fit: prepared -> model", `cp "$UNIP_PIPELINE_PREPARED/p" "$UNIP_PIPELINE_MODEL/m"`)))
	var away atomic.Bool
	w.options.Session.Endpoint = w.way(func(*http.Request) bool { return !away.Load() })
	e, _ := w.open()
	r := w.until(e, w.begin(e, "train"), func(r *runtimev1.PipelineRun) bool { return stageOf(r, "prepare").StartTime != nil })
	a := e.attempt(stageOf(r, "prepare").Job)
	w.eventually("its process", func() bool { return a.seen().Phase == run.Working })
	away.Store(true)
	w.must(os.WriteFile(gate, nil, 0o600))
	w.eventually("publish", func() bool { return a.seen().Phase == run.Publishing })
	late := w.newRun("train")
	w.must(e.Create(t.Context(), late))
	w.until(e, late, func(r *runtimev1.PipelineRun) bool { return strings.HasPrefix(r.Status.Message, "it waits: ") })
	away.Store(false)
	for _, r := range []*runtimev1.PipelineRun{r, late} {
		if r = w.until(e, r, done); r.Status.State != runtimev1.Succeeded || stageOf(r, "prepare").Attempt != 1 {
			t.Errorf("%s: %s", r.Status.State, r.Status.Message)
		}
	}
}

// Whatever has to wait for storage goes on as soon as that answers, not when it would look again by itself.
func TestStorageIsBack(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "gate")
	w := newWorld(t, pipe("train", line("fit: table -> model", fmt.Sprintf(`case $PWD in *-1/work) until [ -e %s ]; do
			sleep 0.02; done; exit 3;; esac; cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_MODEL/m"`, gate),
		func(s *runtimev1.Stage) { s.Retries = 1 })))
	var away atomic.Bool
	w.options.Session.Endpoint = w.way(func(r *http.Request) bool {
		return !away.Load() || !strings.HasSuffix(r.URL.Path, "/fit/commit")
	})
	e, _ := w.open()
	r := w.until(e, w.begin(e, "train"), func(r *runtimev1.PipelineRun) bool { return stageOf(r, "fit").StartTime != nil })
	a := e.attempt(stageOf(r, "fit").Job)
	w.eventually("its process", func() bool { return a.seen().Phase == run.Working })
	away.Store(true)
	w.must(os.WriteFile(gate, nil, 0o600))
	w.eventually("the next attempt is due, and waits", func() bool {
		now, err := e.Run(t.Context(), r.Name)
		w.must(err)
		st := stageOf(now, "fit")
		return st.WaitingSince != nil && st.DueTime != nil && time.Since(st.DueTime.Time) > waitAgain
	})
	away.Store(false)
	back := time.Now()
	r = w.until(e, r, done)
	if took := time.Since(back); r.Status.State != runtimev1.Succeeded || took > 20*time.Second {
		t.Errorf("%s %s, %s after the return", r.Status.State, r.Status.Message, took)
	}
}

// An upload starts one run, however often it is told of and whoever is told.
func TestUploadsStartOnce(t *testing.T) {
	t.Parallel()
	p := pipe("train", line("fit: table -> model", `cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_MODEL/in.csv"`))
	p.Spec.OnUpload = []runtimev1.UploadRule{{Box: "userdata", Prefix: "in/", Suffix: ".csv", Input: "table",
		Outputs: []runtimev1.UploadOutput{{Variable: "model", Box: "weights", Path: "m/", Developer: true}}}}
	w := newWorld(t, p)
	tell := func(e *Engine, keys ...string) {
		for _, k := range keys {
			w.must(e.Uploaded(t.Context(), w.bucket, k))
		}
	}
	w.put(key("out/t.csv"), "1")
	e, stop := w.open()
	tell(e, key("in/t.csv"), key("in/t.csv"), key("out/t.csv"), key("in/gone.csv"), "users/odd", "in/t.csv")
	all, err := e.Runs(t.Context(), "")
	w.must(err)
	if len(all) != 1 || all[0].Spec.Origin != runtimev1.OriginUpload || all[0].Spec.User != "ann" {
		t.Fatalf("%+v", all)
	}
	r := w.until(e, &all[0], over)
	stop()
	w.must(os.Remove(filepath.Join(w.options.Dir, "runs", r.Name+runFile))) // it is the record that counts
	e, stop = w.open()
	tell(e, key("in/t.csv"))
	if all, _ = e.Runs(t.Context(), ""); len(all) != 0 {
		t.Fatalf("%+v", all)
	}
	if got := w.get(databox.BucketName(w.namespace, "weights"), "m/in.csv"); got != "1,2\n" {
		t.Errorf("%q", got)
	}
	w.put(key("in/t.csv"), "3,4\n")
	tell(e, key("in/t.csv"), key("in/t.csv"))
	if all, _ = e.Runs(t.Context(), "train"); len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	stop()
}

// Ctrl-C ends everything within some seconds, also what does not want to.
func TestTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pipe("train", line("fit: table -> model", `trap "" TERM HUP INT; echo begun; (setsid sleep 1000) & while :; do sleep 1; done`)))
	e, stop := w.open()
	r := w.until(e, w.begin(e, "train"), func(r *runtimev1.PipelineRun) bool { return stageOf(r, "fit").StartTime != nil })
	w.eventually("it has begun", func() bool {
		st := stageOf(r, "fit")
		log, err := e.Log(t.Context(), r, &st, false)
		if err != nil {
			return false
		}
		defer log.Close()
		b, _ := io.ReadAll(log)
		return len(b) > 0
	})
	began := time.Now()
	stop()
	if took := time.Since(began); took > stopWithin || len(w.processes()) > 0 {
		t.Errorf("%s, and %v are left", took, w.processes())
	}
}

// A variable with a mountTo, or below a mountPath, lies there, where the machine lets a process have a
// file system of its own; else one line says where it is.
func TestFixedPaths(t *testing.T) {
	t.Parallel()
	p := pipe("train", line("fit: table -> model",
		`cat /tables/in/t.csv "$UNIP_PIPELINE_TABLE" > /srv/models/m; ls /tables/in >> "$UNIP_PIPELINE_MODEL/m"; touch here; id -u > /dev/null`))
	p.Spec.Mounts = []runtimev1.Mount{{Box: "userdata", Path: "users", MountPath: "/tables"}}
	p.Spec.Variables[1].MountTo = "/srv/models"
	w := newWorld(t, p)
	e, _ := w.open()
	r := w.until(e, w.begin(e, "train"), done)
	if !e.enters() {
		if r.Status.State != runtimev1.Failed {
			t.Errorf("%s", r.Status.State)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		notes := 0
		for _, h := range w.happened {
			if h.Kind == KindNote && strings.Contains(h.Text, "its path is in UNIP_PIPELINE_") {
				notes++
			}
		}
		if notes != 2 {
			t.Errorf("%+v", w.happened)
		}
		return
	}
	if r.Status.State != runtimev1.Succeeded {
		t.Fatalf("%s: %s", r.Status.State, r.Status.Message)
	}
	if got := w.get(w.bucket, key("train/"+r.Name+"/model/m")); got != "1,2\n1,2\nt.csv\n" {
		t.Errorf("%q", got)
	}
}

// What was due while unip dev was away starts once, the latest time only, and is not started again by
// the next one.
func TestSchedules(t *testing.T) {
	t.Parallel()
	p := pipe("nightly", line("fit: -> model", `echo model > "$UNIP_PIPELINE_MODEL/m"`))
	p.Spec.Schedule, p.Spec.TimeZone = "* * * * *", "UTC"
	w := newWorld(t, p)
	settled := time.Now().Add(-10 * time.Minute).UTC().Format(time.RFC3339)
	w.must(os.WriteFile(filepath.Join(w.options.Dir, "schedules.json"),
		[]byte(`{"nightly":{"line":"CRON_TZ=UTC * * * * *","settledTime":"`+settled+`"}}`), 0o600))
	started := func(e *Engine) (all []string) {
		runs, err := e.Runs(t.Context(), "")
		w.must(err)
		for _, r := range runs {
			if r.Spec.Origin != runtimev1.OriginSchedule || r.Spec.User != "" {
				t.Errorf("%+v", r.Spec)
			}
			all = append(all, r.Spec.IdempotencyKey)
		}
		slices.Sort(all)
		return all
	}
	e, stop := w.open()
	w.eventually("a run", func() bool { return len(started(e)) > 0 })
	runs, err := e.Runs(t.Context(), "")
	w.must(err)
	r := w.until(e, &runs[0], over)
	if got := w.get(w.bucket, "nightly/"+r.Name+"/model/m"); got != "model\n" {
		t.Errorf("%q", got)
	}
	stop()
	was := started(e)
	e, stop = w.open()
	stop()
	is := started(e)
	for _, all := range [][]string{was, is} {
		if len(slices.Compact(slices.Clone(all))) != len(all) || len(all) > 3 { // a minute may be over twice
			t.Errorf("%v", all)
		}
	}
}

// A log that becomes too long keeps its end, and whoever follows it goes on there.
func TestALongLogIsCut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, logFile)
	if err := os.WriteFile(name, []byte(strings.Repeat("0123456\n", maxLog/4)), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &attempt{ctx: t.Context(), dir: dir, changed: make(chan struct{})}
	log, err := a.readLog(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := io.CopyN(io.Discard, log, 2*maxLog); err != nil {
		t.Fatal(err)
	}
	for _, most := range []int64{2 * maxLog, maxLog} {
		if err := a.cutLog(most); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(name); err != nil || info.Size() != most {
			t.Fatalf("%d: %+v %v", most, info, err)
		}
	}
	b := make([]byte, 8)
	if _, err := io.ReadFull(log, b); err != nil || string(b) != "0123456\n" {
		t.Errorf("%q %v", b, err)
	}
}

// However many runs come at once, so many stages are at work as may be; the others say that they wait.
func TestStagesWaitForRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorld(t, pipe("train", line("fit: table -> model", fmt.Sprintf(
		`touch %[1]s/$$; ls %[1]s | wc -l >> "$UNIP_PIPELINE_MODEL/busy"; until [ -e %[1]s.go ]; do sleep 0.02; done; rm %[1]s/$$`, dir))))
	w.options.Parallel = 2
	e, _ := w.open()
	var all []*runtimev1.PipelineRun
	for range 5 {
		all = append(all, w.begin(e, "train"))
	}
	waits := func(r *runtimev1.PipelineRun) bool {
		st := stageOf(r, "fit")
		return st.Reason == reasonNoRoom && strings.Contains(st.Message, "2 stages are at work here")
	}
	w.eventually("three wait", func() bool {
		n := 0
		for _, r := range all {
			now, err := e.Run(t.Context(), r.Name)
			w.must(err)
			if waits(now) {
				n++
			}
		}
		return n == 3
	})
	cancelled := all[slices.IndexFunc(all, func(r *runtimev1.PipelineRun) bool {
		now, err := e.Run(t.Context(), r.Name)
		w.must(err)
		return waits(now)
	})]
	w.must(e.Cancel(t.Context(), cancelled))
	w.until(e, cancelled, over)
	w.must(os.WriteFile(dir+".go", nil, 0o600))
	for _, r := range all {
		if r = w.until(e, r, over); r.Name == cancelled.Name {
			continue
		}
		if st := stageOf(r, "fit"); r.Status.State != runtimev1.Succeeded || st.Reason != "" || st.Attempt != 1 {
			t.Errorf("%s %s: %+v", r.Status.State, r.Status.Message, st)
		}
		if busy := strings.TrimSpace(w.get(w.bucket, key("train/"+r.Name+"/model/busy"))); busy > "2" {
			t.Errorf("%s stages were at work at once", busy)
		}
	}
}

// What makes processes faster than they are found, without end and away from its session, is ended with
// its stage.
func TestProcessesThatMakeProcesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pipe("train", line("fit: table -> model", `
		echo 'sleep 0.01; setsid sh more &' > more
		for i in 1 2 3 4 5; do sh more; done; touch "$UNIP_PIPELINE_MODEL/m"`)))
	e, _ := w.open()
	r := w.until(e, w.begin(e, "train"), over)
	if r.Status.State != runtimev1.Succeeded {
		t.Errorf("%s: %s", r.Status.State, r.Status.Message)
	}
	if left := w.processes(); len(left) > 0 {
		t.Errorf("%d processes are left", len(left))
	}
}

// A guard that is killed is followed by another one: a kill of unip dev leaves no process then either.
func TestAKilledGuard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorld(t, pipe("train", line("fit: table -> model",
		fmt.Sprintf(`setsid sleep 1000 & echo $! > %s/pid; wait`, dir))))
	w.place("train")
	cmd := w.program(w.options)
	guards := func() []int { return childrenNamed(t, cmd.Process.Pid, guardName) }
	w.eventually("the stage begins", func() bool {
		info, err := os.Stat(filepath.Join(dir, "pid"))
		return err == nil && info.Size() > 0
	})
	first := guards()
	if len(first) != 1 {
		t.Fatalf("guards: %v", first)
	}
	w.must(syscall.Kill(first[0], syscall.SIGKILL))
	w.eventually("another guard", func() bool { g := guards(); return len(g) == 1 && g[0] != first[0] })
	w.must(cmd.Process.Kill())
	_ = cmd.Wait()
	w.eventually("no process is left", func() bool { return len(w.processes()) == 0 })
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

// What is kept and cannot be read is named at the start, and nothing begins without it.
func TestWhatIsKeptIsDamaged(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"schedules.json": "null", "runs/train-1.json": "{}", "runs/train-2.json": "half",
	} {
		w := newWorld(t)
		file := filepath.Join(w.options.Dir, name)
		w.must(os.MkdirAll(filepath.Dir(file), 0o700))
		w.must(os.WriteFile(file, []byte(text), 0o600))
		if _, err := Open(w.options); err == nil || !strings.Contains(err.Error(), name) ||
			!strings.HasSuffix(err.Error(), ": remove it") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A commit that comes after the look at which the next attempt was decided is seen before that is made.
func TestALateCommit(t *testing.T) {
	t.Parallel()
	count := filepath.Join(t.TempDir(), "count")
	w := newWorld(t, pipe("train", line("fit: table -> model", fmt.Sprintf(
		`echo x >> %s; cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_MODEL/m"`, count))))
	r := w.place("train")
	commit := stage.CommitKey(r.Name, "fit")
	committed := func() bool {
		_, err := w.StatObject(t.Context(), w.runs, commit, minio.StatObjectOptions{})
		return err == nil
	}
	o := w.options
	o.Session.Endpoint = w.way(func(r *http.Request) bool {
		return r.Method != http.MethodPut || !strings.HasPrefix(r.URL.Path, "/"+w.bucket+"/")
	})
	cmd := w.program(o)
	w.eventually("the commit", committed)
	w.must(cmd.Process.Kill())
	_ = cmd.Wait()
	content := w.get(w.runs, commit)
	w.must(w.RemoveObject(t.Context(), w.runs, commit, minio.RemoveObjectOptions{}))
	decided := func() bool { // and written, before the next attempt is made
		var now runtimev1.PipelineRun
		b, err := os.ReadFile(filepath.Join(w.options.Dir, "runs", r.Name+runFile))
		err = errors.Join(err, json.Unmarshal(b, &now))
		st := stageOf(&now, "fit")
		return err == nil && st.Attempt == 2 && st.State == runtimev1.Running
	}
	var came atomic.Bool
	w.options.Session.Endpoint = w.way(func(r *http.Request) bool {
		if r.URL.Path == "/"+w.runs+"/"+commit && decided() && came.CompareAndSwap(false, true) {
			_, err := w.PutObject(t.Context(), w.runs, commit, strings.NewReader(content), int64(len(content)),
				minio.PutObjectOptions{})
			return err == nil
		}
		return true
	})
	e, _ := w.open()
	if r = w.until(e, r, done); r.Status.State != runtimev1.Succeeded {
		t.Errorf("%s: %s", r.Status.State, r.Status.Message)
	}
	if b, _ := os.ReadFile(count); string(b) != "x\n" || !came.Load() {
		t.Errorf("the stage ran again: %q, or nobody has looked: %t", b, came.Load())
	}
}

// A start that cannot be kept is not taken for made: it is made when that can be.
func TestAStartThatCannotBeKept(t *testing.T) {
	t.Parallel()
	p := pipe("train", line("fit: table -> model", `cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_MODEL/m"`))
	p.Spec.OnUpload = []runtimev1.UploadRule{{Box: "userdata", Prefix: "in/", Input: "table"}}
	w := newWorld(t, p)
	e, _ := w.open()
	runs := filepath.Join(w.options.Dir, "runs")
	w.must(os.Rename(runs, runs+"2"))
	if err := e.Uploaded(t.Context(), w.bucket, key("in/t.csv")); err == nil {
		t.Error("a start is accepted that is not kept")
	}
	w.must(os.Rename(runs+"2", runs))
	w.must(e.Uploaded(t.Context(), w.bucket, key("in/t.csv")))
	all, err := e.Runs(t.Context(), "train")
	w.must(err)
	if len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	if r := w.until(e, &all[0], done); r.Status.State != runtimev1.Succeeded {
		t.Errorf("%s: %s", r.Status.State, r.Status.Message)
	}
}

// A step that was decided before a run was cancelled does not undo that.
func TestAStatusOfAnOlderRun(t *testing.T) {
	t.Parallel()
	s, err := openStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "train-1"},
		Spec: runtimev1.PipelineRunSpec{Pipeline: "train"}}
	if err := errors.Join(s.create(r), s.cancel(r.Name)); err != nil {
		t.Fatal(err)
	}
	if err := s.writeStatus(r); !errors.Is(err, errOther) {
		t.Error(err)
	}
	if now, err := s.get(r.Name); err != nil || !now.Spec.Cancel {
		t.Errorf("%+v %v", now, err)
	}
}

// A run whose state cannot be kept, on a full disk say, goes on where it stood when it can.
func TestAStateThatCannotBeKept(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "gate")
	w := newWorld(t, pipe("train",
		line("prepare: table -> prepared", fmt.Sprintf(
			`until [ -e %s ]; do sleep 0.02; done; cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_PREPARED/p"`, gate)),
		line("fit: prepared -> model", `cp "$UNIP_PIPELINE_PREPARED/p" "$UNIP_PIPELINE_MODEL/m"`)))
	e, _ := w.open()
	r := w.until(e, w.begin(e, "train"), func(r *runtimev1.PipelineRun) bool { return stageOf(r, "prepare").StartTime != nil })
	a := e.attempt(stageOf(r, "prepare").Job)
	runs := filepath.Join(w.options.Dir, "runs")
	w.must(os.Rename(runs, runs+"2"))
	w.must(os.WriteFile(gate, nil, 0o600))
	w.eventually("its process has ended", a.ended)
	w.must(os.Rename(runs+"2", runs))
	r = w.until(e, r, over)
	if r.Status.State != runtimev1.Succeeded || stageOf(r, "prepare").Attempt != 1 || stageOf(r, "fit").Attempt != 1 {
		t.Errorf("%s %s: %+v", r.Status.State, r.Status.Message, r.Status.Stages)
	}
}
