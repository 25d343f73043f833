package main

import (
	"bufio"
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/eventing/users"
	"github.com/unip-knative/unip/functions/gateway/service"
	"github.com/unip-knative/unip/functions/gateway/service/memory"
)

// moduleOf is the gateway of a module ns with these runs. Its component hangs. The pipelines API is not
// at its usual path.
func moduleOf(t *testing.T, store *memory.Store) http.Handler {
	t.Helper()
	file, err := routes.Decode([]byte(`{"apis":[
		{"name":"train","kind":"experimentPipeline","path":"train","target":"train"},
		{"name":"runs","kind":"pipelines","path":"lab/runs"},
		{"name":"files","kind":"files","path":"files"}
	],"pipelines":["train"],"boxes":["userdata","herbarium"],"datasets":["herbarium"]}`))
	if err != nil {
		t.Fatal(err)
	}
	g, err := service.New(service.Options{Namespace: "ns", Routes: file, Runs: store})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", g)
	mux.Handle("/ns/hangs/predict", predictions())
	return mux
}

// away is a module that is away for every third question, in one way or another.
func away(h http.Handler) http.Handler {
	var questions atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int64(0)
		if r.Method == http.MethodGet {
			n = questions.Add(1)
		}
		switch {
		case n%3 != 2:
			h.ServeHTTP(w, r)
		case n%2 == 0:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "no healthy upstream", http.StatusServiceUnavailable)
		default:
			panic(http.ErrAbortHandler)
		}
	})
}

// succeeds ends each run that is started, at once and well.
func succeeds(h http.Handler, store *memory.Store) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		if r.Method != http.MethodPost {
			return
		}
		runs, _ := store.Runs(r.Context(), "train") // of a memory
		for _, run := range runs {
			if !run.Status.State.Done() {
				store.Update(run.Name, end)
			}
		}
	})
}

// wakesUp answers when its caller has been told that it waits.
func wakesUp(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(3 * time.Second): // the caller says so after 2
			h.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// twoRuns are runs of a module's users who are not known: done, and old, which failed a minute before.
func twoRuns(t *testing.T) *memory.Store {
	t.Helper()
	store := memory.New(trainPipeline, runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Name: "report"},
		Spec: runtimev1.PipelineSpec{Stages: []runtimev1.Stage{{Name: "tell"}}}})
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, id := range []string{"old", "done"} {
		began := at.Add(time.Duration(i) * time.Minute)
		run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: id, CreationTimestamp: metav1.NewTime(began)}}
		run.Spec.User, run.Spec.Pipeline = users.Anonymous, "train"
		run.Status.State, run.Status.Message = runtimev1.Failed, "no rows"
		run.Status.StartTime = new(metav1.NewTime(began))
		run.Status.CompletionTime = new(metav1.NewTime(began.Add(5 * time.Second)))
		run.Status.Stages = []runtimev1.StageStatus{{Name: "fit", State: runtimev1.Failed, Attempt: 1,
			StartTime: new(metav1.NewMicroTime(began))}}
		if id == "done" {
			run.Status.State, run.Status.Message = runtimev1.Succeeded, ""
			run.Status.Stages[0].State = runtimev1.Succeeded
		}
		if err := store.Create(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		store.Write(id, "fit", 1, "hello\n", true)
	}
	return store
}

// Stages that run side by side are followed side by side, each line with its stage, in all attempts and
// until the run has ended.
func TestLogsAreFollowed(t *testing.T) {
	t.Parallel()
	store, url := openModule(t)
	startRun(t, store, "train-1", "left", "right")
	store.Write("train-1", "left", 1, "first of left\nhalf", false)
	cmd := exec.CommandContext(t.Context(), "unip", "logs", "train-1", "-f", "--url", url)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	next := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("%q, want %q", lines.Text(), want)
		}
	}
	next("left | first of left")
	store.Write("train-1", "right", 1, "first of right\n", false)
	next("right | first of right")
	store.Write("train-1", "left", 1, " a line\n", false)
	next("left | half a line")
	store.Write("train-1", "right", 1, "no end", true)
	next("right | no end")
	store.Write("train-1", "left", 1, "", true)
	store.Update("train-1", func(run *runtimev1.PipelineRun) { run.Status.Stages[0].Attempt = 2 })
	store.Write("train-1", "left", 2, "again\n", true)
	next("left, attempt 2 | again")
	store.Update("train-1", end)
	if lines.Scan() {
		t.Errorf("%q after the end", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	// what has ended is shown one after another
	b, err := exec.CommandContext(t.Context(), "unip", "logs", "train-1", "--url", url).Output()
	const want = "==> left <==\nfirst of left\nhalf a line\n==> left, attempt 2 <==\nagain\n" +
		"==> right <==\nfirst of right\nno end"
	if err != nil || string(b) != want {
		t.Errorf("%v: %q", err, b)
	}
	b, err = exec.CommandContext(t.Context(), "unip", "logs", "train-1", "--stage", "left", "--attempt", "2", "--url",
		url).Output()
	if err != nil || string(b) != "==> left, attempt 2 <==\nagain\n" {
		t.Errorf("%v: %q", err, b)
	}
	for _, args := range [][]string{{"--stage", "middle"}, {"--stage", "left", "--attempt", "3"}} {
		var exit *exec.ExitError
		_, err := exec.CommandContext(t.Context(), "unip", append(args, "logs", "train-1", "--url", url)...).Output()
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(exit.Stderr), "run train-1") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
