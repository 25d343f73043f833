package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/record"
	"github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/runstorage"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/gateway/service"
	"github.com/unip-knative/unip/translate/module"
)

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
		`mkdir %[1]s/busy; until [ -e %[1]s/go ]; do sleep 0.02; done
			basename "$(dirname "$PWD")" >> %[1]s/all; rmdir %[1]s/busy`, dir)))
	p.Spec.MaxParallelRuns = 1
	w := newWorld(t, p)
	e, _ := w.open()
	var all []*runtimev1.PipelineRun
	for range 5 {
		all = append(all, w.begin(e, "train"))
	}
	var first, waiting []string
	w.eventually("all but one wait", func() bool {
		first, waiting = nil, nil
		for _, r := range all {
			now, err := e.Run(t.Context(), r.Name)
			if w.must(err); run.Waits(now) {
				waiting = append(waiting, r.Name)
			} else {
				first = append(first, r.Name)
			}
		}
		return len(first) == 1
	})
	w.must(os.WriteFile(filepath.Join(dir, "go"), nil, 0o600))
	for _, r := range all {
		if r = w.until(e, r, done); r.Status.State != runtimev1.Succeeded { // mkdir fails where two are at work
			t.Errorf("%s: %s", r.Name, r.Status.Message)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "all"))
	w.must(err)
	began := strings.Fields(string(b)) // attempts
	for i, name := range slices.Concat(first, waiting) {
		if i >= len(began) || !strings.HasPrefix(began[i], name+"-") {
			t.Fatalf("they began as %v, want %v first and then %v", began, first, waiting)
		}
	}
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
	if !e.Enters() {
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

// A log that becomes too long keeps its end, and whoever follows it goes on there.
func TestALongLogIsCut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, logFile)
	if err := os.WriteFile(name, []byte(strings.Repeat("0123456\n", runstorage.MaxLog/4)), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &attempt{ctx: t.Context(), dir: dir, changed: make(chan struct{})}
	log, err := a.readLog(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := io.CopyN(io.Discard, log, 2*runstorage.MaxLog); err != nil {
		t.Fatal(err)
	}
	for _, most := range []int64{2 * runstorage.MaxLog, runstorage.MaxLog} {
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
