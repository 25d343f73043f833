package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/stage"
)

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

// A clock that is set back by hours holds up no run: neither one that waits for its next attempt, nor one
// that another unip dev has begun.
func TestAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pipe("train", line("fit: table -> model",
		`case $PWD in *-1/work) exit 3;; esac; cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_MODEL/m"`,
		func(s *runtimev1.Stage) { s.Retries = 1 })))
	var ahead atomic.Int64
	ahead.Store(int64(5 * time.Hour))
	w.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())).Round(0) } // as it is stored
	e, stop := w.open()
	r := w.until(e, w.begin(e, "train"), func(r *runtimev1.PipelineRun) bool { return stageOf(r, "fit").Failures == 1 })
	ahead.Store(int64(2 * time.Hour))
	if r = w.until(e, r, over); r.Status.State != runtimev1.Succeeded {
		t.Errorf("%s: %s", r.Status.State, r.Status.Message)
	}
	r = w.until(e, w.begin(e, "train"), func(r *runtimev1.PipelineRun) bool { return stageOf(r, "fit").Failures == 1 })
	stop()
	ahead.Store(0)
	e, _ = w.open()
	if r = w.until(e, r, over); r.Status.State != runtimev1.Succeeded {
		t.Errorf("%s: %s", r.Status.State, r.Status.Message)
	}
}

// A run that was under way when the module got another name ends, and says why.
func TestAModuleThatIsRenamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pipe("train", line("fit: table -> model", `echo begun; sleep 1000`)))
	e, stop := w.open()
	begun := w.until(e, w.begin(e, "train"), func(r *runtimev1.PipelineRun) bool { return stageOf(r, "fit").StartTime != nil })
	stop()
	waiting := w.place("train")
	was := w.namespace
	other := newWorld(t, w.options.Module.Pipelines...)
	other.options.Dir = w.options.Dir
	e, _ = other.open()
	for _, r := range []*runtimev1.PipelineRun{begun, waiting} {
		r = other.until(e, r, over)
		if r.Status.State != runtimev1.Failed || !strings.Contains(r.Status.Message, other.namespace) ||
			!strings.Contains(r.Status.Message, was) {
			t.Errorf("%s: %s", r.Status.State, r.Status.Message)
		}
	}
	if st := stageOf(other.until(e, begun, over), "fit"); st.State != runtimev1.Cancelled {
		t.Errorf("%s", st.State)
	}
}
