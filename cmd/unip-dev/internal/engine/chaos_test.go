package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
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

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/functions/gateway/service"
	"github.com/unip-knative/unip/translate/module"
)

var (
	chaosSeed = flag.Uint64("chaos.seed", 7, "the seed of TestChaos: what is asked for, and what goes wrong")
	chaosTime = flag.Duration("chaos.time", 12*time.Second, "for how long things go wrong in TestChaos")
)

// addressFile says where the program of the chaos is told what to do.
const addressFile = "address"

// obey serves what the gateway and the storage ask of an engine.
func obey(e *Engine, dir string) {
	answer := func(do func(r *http.Request) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if err := do(r); err != nil && !errors.Is(err, service.ErrRunExists) {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		}
	}
	m := http.NewServeMux()
	m.HandleFunc("/create", answer(func(r *http.Request) error {
		var x runtimev1.PipelineRun
		return errors.Join(json.NewDecoder(r.Body).Decode(&x), e.Create(r.Context(), &x))
	}))
	m.HandleFunc("/cancel", answer(func(r *http.Request) error {
		x, err := e.Run(r.Context(), r.FormValue("run"))
		if err != nil {
			return err
		}
		return e.Cancel(r.Context(), x)
	}))
	m.HandleFunc("/uploaded", answer(func(r *http.Request) error {
		return e.Uploaded(r.Context(), r.FormValue("bucket"), r.FormValue("key"))
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		err = replaceFile(filepath.Join(dir, addressFile), []byte(l.Addr().String()))
	}
	if err != nil {
		panic(err)
	}
	panic(http.Serve(l, m))
}

// trouble is a way to S3 on which things go wrong.
type trouble struct {
	away   atomic.Bool // nothing passes
	losing atomic.Bool // each fourth answer is lost, after S3 has done what was asked
	count  atomic.Int64
}

func (x *trouble) serve(t *testing.T) (endpoint string) {
	t.Helper()
	target, err := url.Parse(server.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	on := &httputil.ReverseProxy{
		Transport: &http.Transport{DisableKeepAlives: true}, // a connection that broke is not used again
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which is signed
		},
		ModifyResponse: func(*http.Response) error {
			if x.losing.Load() && x.count.Add(1)%4 == 0 {
				return errors.New("the answer is lost")
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x.away.Load() {
			panic(http.ErrAbortHandler)
		}
		on.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// chaos is a world in which things go wrong.
type chaos struct {
	*world
	rand    *rand.Rand
	dir     string // of the log of processes
	count   int
	options Options
	trouble trouble

	program *exec.Cmd
	calls   sync.WaitGroup

	mu       sync.Mutex
	accepted map[string]bool // runs
	asked    map[string]bool // cancellations that were accepted
	uploads  map[string]bool // keys
}

// The pipelines. Each output is a function of its input, and each process says that it begins.
func chaosPipelines(dir string) []module.Pipeline {
	says := func(script string) string {
		return fmt.Sprintf("echo $(basename $(dirname $PWD)) $(date +%%s.%%N) >> %s/began; ", dir) + script
	}
	retries := func(n int32) func(*runtimev1.Stage) { return func(s *runtimev1.Stage) { s.Retries = n } }
	copies := func(from, to string) string {
		return fmt.Sprintf(`sleep 0.2; cat "$UNIP_PIPELINE_%s"/* > "$UNIP_PIPELINE_%s/o"; echo %[2]s >> "$UNIP_PIPELINE_%[2]s/o"`, from, to)
	}
	first := func(to string) string {
		return fmt.Sprintf(`sleep 0.2; cat "$UNIP_PIPELINE_TABLE" > "$UNIP_PIPELINE_%s/o"`, to)
	}
	// a process of the diamond may be killed at any time, as often as its retries allow
	diamond := pipe("diamond",
		line("last: b c -> d", says(`cat "$UNIP_PIPELINE_B/o" "$UNIP_PIPELINE_C/o" > "$UNIP_PIPELINE_D/o"`), retries(50)),
		line("left: a -> b", says(copies("A", "B")), retries(50)),
		line("right: a -> c", says(copies("A", "C")), retries(50)),
		line("first: table -> a", says(first("A")), retries(50)))
	flaky := pipe("flaky", line("only: table -> m", says(`case $PWD in *-1/work) exit 3;; esac; `+first("M")), retries(1)))
	fails := pipe("fails", line("only: table -> m", says(`echo bad > "$UNIP_PIPELINE_M/o"; exit 4`)))
	narrow := pipe("narrow", line("only: table -> m", says(first("M"))))
	narrow.Spec.MaxParallelRuns = 2
	long := pipe("long", line("only: table -> m", says(`(setsid sleep 1000) & echo bad > "$UNIP_PIPELINE_M/o"; sleep 1000`)))
	upload := pipe("upload", line("only: table -> m", says(`sleep 0.2; cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_M/"`)))
	upload.Spec.OnUpload = []runtimev1.UploadRule{{Box: "userdata", Prefix: "up/", Input: "table",
		Outputs: []runtimev1.UploadOutput{{Variable: "m", Box: "userdata", Path: "next/"}}}}
	chained := pipe("chained", line("only: table -> m", says(first("M"))))
	chained.Spec.OnUpload = []runtimev1.UploadRule{{Box: "userdata", Prefix: "next/", Input: "table"}}
	return []module.Pipeline{diamond, flaky, fails, narrow, long, upload, chained}
}

// start starts the program, in place of one that was killed.
func (x *chaos) start() {
	x.must(remove(filepath.Join(x.options.Dir, addressFile)))
	o := x.options
	x.program = x.run(program{Module: o.Module, Dir: o.Dir, Code: o.Code, Session: o.Session, Obeys: true})
}

// tell tells the program something until it has accepted that.
func (x *chaos) tell(path string, form url.Values, body any) {
	b, err := json.Marshal(body)
	for end := time.Now().Add(chaosPatience); err == nil && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		address, err := os.ReadFile(filepath.Join(x.options.Dir, addressFile))
		if err != nil {
			continue // the next one has not begun
		}
		resp, err := http.Post("http://"+string(address)+path+"?"+form.Encode(), "application/json", bytes.NewReader(b))
		if err != nil {
			continue // it was killed
		}
		if err := resp.Body.Close(); err == nil && resp.StatusCode == http.StatusOK {
			return
		}
	}
	x.Errorf("%s is never accepted: %v", path, err)
}

// chaosPatience is how long all that was begun may take when nothing goes wrong any more.
const chaosPatience = 90 * time.Second

func (x *chaos) note(in map[string]bool, name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	in[name] = true
}

// ask asks for one thing, meanwhile.
func (x *chaos) ask() {
	kind := x.rand.IntN(7)
	wait := time.Duration(x.rand.IntN(2000)) * time.Millisecond
	x.count++
	n := x.count
	x.calls.Go(func() {
		begin := func(pipeline string) *runtimev1.PipelineRun {
			r := x.newRun(pipeline)
			x.tell("/create", nil, r)
			x.note(x.accepted, r.Name)
			return r
		}
		switch kind {
		case 0, 1, 2, 3:
			begin([]string{"diamond", "diamond", "flaky", "fails"}[kind])
		case 4:
			for range 3 {
				begin("narrow")
			}
		case 5:
			r := begin([]string{"long", "diamond"}[n%2])
			time.Sleep(wait)
			x.tell("/cancel", url.Values{"run": {r.Name}}, nil)
			x.note(x.asked, r.Name)
		case 6:
			k := key(fmt.Sprintf("up/f%d", n))
			x.put(k, "of "+k)
			for range 2 { // it may be told more than once
				x.tell("/uploaded", url.Values{"bucket": {x.bucket}, "key": {k}}, nil)
			}
			x.note(x.uploads, k)
		}
	})
}

// harm has one thing go wrong.
func (x *chaos) harm() {
	length := time.Duration(200+x.rand.IntN(1500)) * time.Millisecond
	switch x.rand.IntN(6) {
	case 0, 1:
		x.must(x.program.Process.Kill())
		_ = x.program.Wait()
		x.start()
	case 2, 3:
		for _, pid := range x.processes() {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
			if err == nil && bytes.Contains(b, []byte("/attempts/diamond-")) {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
				return
			}
		}
	case 4:
		x.trouble.away.Store(true)
		time.Sleep(length)
		x.trouble.away.Store(false)
	case 5:
		x.trouble.losing.Store(true)
		time.Sleep(length)
		x.trouble.losing.Store(false)
	}
}

// runs are read from their files.
func (x *chaos) readRuns() map[string]*runtimev1.PipelineRun {
	all := map[string]*runtimev1.PipelineRun{}
	files, err := filepath.Glob(filepath.Join(x.options.Dir, "runs", "*"+runFile))
	x.must(err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		x.must(err)
		r := &runtimev1.PipelineRun{}
		x.must(json.Unmarshal(b, r))
		all[r.Name] = r
	}
	return all
}

// objects are the contents of the user's files, by key.
func (x *chaos) objects() map[string]string {
	all := map[string]string{}
	for o := range x.ListObjects(x.Context(), x.bucket, minio.ListObjectsOptions{Prefix: key(""), Recursive: true}) {
		x.must(o.Err)
		all[o.Key] = x.get(x.bucket, o.Key)
	}
	return all
}

// Things go wrong by a seed: unip dev and processes of stages are killed, S3 is away or its answers are
// lost, while runs are asked for, cancelled, and started by uploads and by outputs. At the end each has
// ended as it must, what is there is what must be, and nothing is left.
func TestChaos(t *testing.T) {
	t.Parallel()
	x := &chaos{dir: t.TempDir(), rand: rand.New(rand.NewPCG(*chaosSeed, 0)), accepted: map[string]bool{},
		asked: map[string]bool{}, uploads: map[string]bool{}}
	x.world = newWorld(t, chaosPipelines(x.dir)...)
	x.options = x.world.options
	x.options.Session.Endpoint = x.trouble.serve(t)
	x.start()
	for end := time.Now().Add(*chaosTime); time.Now().Before(end); {
		x.ask()
		if x.rand.IntN(3) == 0 {
			x.harm()
		}
		time.Sleep(time.Duration(100+x.rand.IntN(300)) * time.Millisecond)
	}
	x.calls.Wait()
	told := map[string]bool{}
	for end := time.Now().Add(chaosPatience); !x.haveEnded(told) && !t.Failed(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Error("some never end")
		}
	}
	x.must(x.program.Process.Kill())
	_ = x.program.Wait()
	x.eventually("no process is left", func() bool { return len(x.processes()) == 0 })
	x.judge()
}

// haveEnded reports that all runs are over. What a run has put among what starts others is told, as the
// storage does.
func (x *chaos) haveEnded(told map[string]bool) bool {
	for k := range x.objects() {
		if strings.HasPrefix(k, key("next/")) && !told[k] {
			x.tell("/uploaded", url.Values{"bucket": {x.bucket}, "key": {k}}, nil)
			told[k] = true
		}
	}
	all := x.readRuns()
	for _, r := range all {
		if !over(r) {
			return false
		}
	}
	return len(told) == len(x.uploads) && len(all) >= len(x.accepted)+2*len(x.uploads)
}

// judge holds what was accepted against what is there.
func (x *chaos) judge() {
	all, have := x.readRuns(), x.objects()
	want := map[string]string{key("in/t.csv"): "1,2\n"}
	inputs, count := map[string]int{}, map[string]int{}
	for k := range x.uploads {
		want[k], want[strings.Replace(k, "/up/", "/next/", 1)] = "of "+k, "of "+k
	}
	for name, r := range all {
		count[r.Spec.Pipeline+" "+string(r.Status.State)]++
		if r.Spec.Origin == runtimev1.OriginUpload {
			inputs[r.Spec.Inputs["table"].Path]++
		} else if !x.accepted[name] {
			x.Errorf("%s was not asked for", name)
		}
		x.judgeEnd(r)
		at := key(r.Spec.Pipeline + "/" + name + "/")
		if want[at+"run.json"] = have[at+"run.json"]; want[at+"run.json"] == "" {
			x.Errorf("%s has no run.json", name)
		}
		succeeded := r.Status.State == runtimev1.Succeeded
		switch r.Spec.Pipeline {
		case "diamond":
			if stageOf(r, "last").State == runtimev1.Succeeded {
				want[at+"d/o"] = "1,2\nB\n1,2\nC\n"
			}
		case "upload":
		case "chained":
			want[at+"m/o"] = want[key(strings.TrimPrefix(r.Spec.Inputs["table"].Path, "userdata/"))]
		default:
			if succeeded {
				want[at+"m/o"] = "1,2\n"
			}
		}
	}
	for name := range x.accepted {
		if all[name] == nil {
			x.Errorf("%s is lost", name)
		}
	}
	for k := range x.uploads {
		for _, path := range []string{k, strings.Replace(k, "/up/", "/next/", 1)} {
			if n := inputs["userdata/"+strings.TrimPrefix(path, key(""))]; n != 1 {
				x.Errorf("%s has started %d runs", path, n)
			}
		}
	}
	for k, content := range want {
		if got, is := have[k]; !is || got != content {
			x.Errorf("%s: %q, want %q", k, got, content)
		}
	}
	for k := range have {
		if _, is := want[k]; !is {
			x.Errorf("%s must not be there", k)
		}
	}
	x.judgeProcesses(all)
	x.judgeNarrow(all)
	x.Logf("seed %d: %v", *chaosSeed, count)
}

// judgeEnd judges how a run has ended.
func (x *chaos) judgeEnd(r *runtimev1.PipelineRun) {
	want := runtimev1.Succeeded
	switch {
	case r.Spec.Pipeline == "long", x.asked[r.Name] && r.Status.State == runtimev1.Cancelled:
		want = runtimev1.Cancelled
	case r.Spec.Pipeline == "fails":
		want = runtimev1.Failed
	}
	if r.Status.State != want {
		x.Errorf("%s: %s %s, want %s", r.Name, r.Status.State, r.Status.Message, want)
	}
	for _, st := range r.Status.Stages {
		wrong := st.Failures > 0 && !slices.Contains([]string{"diamond", "flaky", "fails"}, r.Spec.Pipeline)
		if wrong || r.Spec.Pipeline != "diamond" && st.Failures > 1 {
			x.Errorf("%s: stage %s has failed %d times by itself", r.Name, st.Name, st.Failures)
		}
	}
}

// judgeProcesses finds processes that began after their run's end.
func (x *chaos) judgeProcesses(all map[string]*runtimev1.PipelineRun) {
	b, err := os.ReadFile(filepath.Join(x.dir, "began"))
	x.must(err)
	for l := range strings.Lines(string(b)) {
		attempt, at, _ := strings.Cut(strings.TrimSpace(l), " ")
		parts := strings.Split(attempt, "-") // the run's name, a hash, a number
		r := all[strings.Join(parts[:len(parts)-2], "-")]
		seconds, err := strconv.ParseFloat(at, 64)
		x.must(err)
		switch {
		case r == nil:
			x.Errorf("%s is of no run", attempt)
		case r.Status.CompletionTime == nil:
		case seconds > float64(r.Status.CompletionTime.Unix()+1): // it is in whole seconds
			x.Errorf("a process of %s began after its end", attempt)
		}
	}
}

// judgeNarrow counts the runs of a pipeline with a limit that were under way at once.
func (x *chaos) judgeNarrow(all map[string]*runtimev1.PipelineRun) {
	var stages []runtimev1.StageStatus
	for _, r := range all {
		if st := stageOf(r, "only"); r.Spec.Pipeline == "narrow" && st.StartTime != nil && st.CompletionTime != nil {
			stages = append(stages, st)
		}
	}
	for _, s := range stages {
		busy := 0
		for _, o := range stages {
			if !o.StartTime.After(s.StartTime.Time) && o.CompletionTime.After(s.StartTime.Time) {
				busy++
			}
		}
		if busy > 2 {
			x.Errorf("%d runs were under way at once, 2 may be", busy)
		}
	}
}
