package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/record"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/service/memory"
)

var trainPipeline = runtimev1.Pipeline{
	ObjectMeta: metav1.ObjectMeta{Name: "train"},
	Spec:       runtimev1.PipelineSpec{Stages: []runtimev1.Stage{{Name: "fit"}}},
}

// A gateway over any Store serves the whole pipelines API: nothing of it needs a cluster.
func TestRunsOfAnyStore(t *testing.T) {
	t.Parallel()
	file, err := routes.Decode([]byte(`{"apis":[
		{"name":"train","kind":"experimentPipeline","path":"train","target":"train",
			"labels":{"team":"flora"}},
		{"name":"runs","kind":"pipelines","path":"pipelines"}
	],"pipelines":["train"]}`))
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New(trainPipeline)
	g, err := New(Options{Namespace: "pu-ann", Routes: file, Runs: store})
	if err != nil {
		t.Fatal(err)
	}
	const calling = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	call := func(method, path string, want int, answer any) http.Header {
		t.Helper()
		r := httptest.NewRequest(method, path, http.NoBody)
		r.Header.Set("Idempotency-Key", "monday")
		r.Header.Set("Traceparent", calling)
		rec := httptest.NewRecorder()
		g.ServeHTTP(rec, r)
		if rec.Code != want {
			t.Fatalf("%s %s: %d %s, want %d", method, path, rec.Code, rec.Body, want)
		}
		if b, ok := answer.(*bytes.Buffer); ok {
			b.Write(rec.Body.Bytes())
		} else if answer != nil {
			if err := json.Unmarshal(rec.Body.Bytes(), answer); err != nil {
				t.Fatal(err)
			}
		}
		return rec.Header()
	}

	var run, again record.Run
	place := call("POST", "/train/run", 202, &run).Get("Location")
	if place != "/pu-ann/pipelines/runs/"+run.ID || run.Status != runtimev1.Pending {
		t.Errorf("%q %+v", place, run)
	}
	made, err := store.Run(t.Context(), run.ID)
	if err != nil || made.Labels["team"] != "flora" || made.Labels[runtimev1.PipelineLabel] != "train" {
		t.Errorf("%+v %v", made, err)
	}
	if parent := made.Annotations[runtimev1.TraceParentAnnotation]; parent != calling {
		t.Errorf("the run is below the span %q, want the caller's", parent)
	}
	if call("POST", "/train", 202, &again); again.ID != run.ID {
		t.Errorf("the same key gave %s and %s", run.ID, again.ID)
	}
	var pipelines struct{ Pipelines []struct{ Name string } }
	call("GET", "/pipelines", 200, &pipelines)
	if len(pipelines.Pipelines) != 1 || pipelines.Pipelines[0].Name != "train" {
		t.Errorf("%+v", pipelines)
	}
	var list struct{ Runs []record.Run }
	if call("GET", "/pipelines/runs", 200, &list); len(list.Runs) != 1 || list.Runs[0].ID != run.ID {
		t.Errorf("%+v", list)
	}
	call("GET", "/pipelines/runs/other", 404, nil)

	store.Update(run.ID, func(x *runtimev1.PipelineRun) {
		x.Status.State = runtimev1.Running
		x.Status.Stages = []runtimev1.StageStatus{
			{Name: "fit", State: runtimev1.Running, StartTime: new(metav1.NowMicro())},
			{Name: "test", State: runtimev1.Pending, StartTime: new(metav1.NowMicro())},
			{Name: "later", State: runtimev1.Pending},
		}
	})
	store.Write(run.ID, "fit", 0, "line of fit\n", false)
	var log bytes.Buffer
	call("GET", place+"/logs", 200, &log)
	if want := "==> fit <==\nline of fit\n==> test <==\n"; log.String() != want {
		t.Errorf("log %q, want %q", log.String(), want)
	}
	call("POST", place+"/cancel", 202, nil)
	if kept, _ := store.Run(t.Context(), run.ID); !kept.Spec.Cancel {
		t.Error("the run is not cancelled")
	}
	call("POST", place+"/cancel", 200, nil)
}

// Who watches a run is told of each of its changes until it has ended.
func TestEventsOfAnyStore(t *testing.T) {
	t.Parallel()
	file, err := routes.Decode([]byte(`{"apis":[{"name":"runs","kind":"pipelines","path":"pipelines"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New(trainPipeline)
	g, err := New(Options{Namespace: "pu-ann", Routes: file, Runs: store})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "train-1"}}
	run.Spec.User = "anonymous"
	if err := store.Create(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/pipelines/runs/train-1/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	store.Update("train-1", func(x *runtimev1.PipelineRun) { x.Status.State = runtimev1.Succeeded })
	b, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if got := string(b); !strings.Contains(got, "event: run\n") || !strings.Contains(got, `"status":"Succeeded"`) {
		t.Errorf("%s", got)
	}
}

// A stage that was tried again has a log for each attempt; a listing of what cannot be is refused.
func TestLogsOfAttempts(t *testing.T) {
	t.Parallel()
	file, err := routes.Decode([]byte(`{"apis":[{"name":"runs","kind":"pipelines","path":"lab/runs"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New(trainPipeline)
	g, err := New(Options{Namespace: "pu-ann", Routes: file, Runs: store})
	if err != nil {
		t.Fatal(err)
	}
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "train-1"}}
	run.Spec.User = "anonymous"
	run.Status.Stages = []runtimev1.StageStatus{
		{Name: "fit", State: runtimev1.Running, Attempt: 3, RanAttempt: 2, StartTime: new(metav1.NowMicro())},
	}
	if err := store.Create(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	others := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "removed-1"}}
	others.Spec.User, others.Spec.Pipeline = "boris", "removed"
	if err := store.Create(t.Context(), others); err != nil {
		t.Fatal(err)
	}
	store.Write("train-1", "fit", 1, "first\n", true)
	store.Write("train-1", "fit", 2, "second\n", true)
	for path, want := range map[string]string{
		"/lab/runs/runs/train-1/logs?stage=fit&attempt=1":   "200 first\n",
		"/pipelines/runs/train-1/logs?stage=fit&attempt=1":  "200 first\n", // the usual path, as no other API has it
		"/pipelines/runs/train-1/logs?stage=fit":            "200 second\n",
		"/pipelines/runs/train-1/logs?stage=fit&attempt=2":  "200 second\n",
		"/pipelines/runs/train-1/logs?stage=fit&attempt=3":  "200 ",
		"/pipelines/runs/train-1/logs?stage=fit&attempt=4":  "404",
		"/pipelines/runs/train-1/logs?stage=fit&attempt=0":  "404",
		"/pipelines/runs/train-1/logs?stage=fit&attempt=-1": "404",
		"/pipelines/runs/train-1/logs?stage=fit&attempt=x":  "404",
		"/pipelines/runs/train-1/logs?attempt=1":            "404",
		"/pipelines/runs?status=Runs":                       "400",
		"/pipelines/runs?status=Cancelled":                  `200 {"runs":[]}` + "\n",
		"/pipelines/runs?pipeline=train":                    `200 {"runs":[]}` + "\n", // there is such a pipeline
		"/pipelines/runs?pipeline=trian":                    "404",
		"/pipelines/runs?pipeline=removed":                  "404", // that others have runs of it is theirs to know
	} {
		rec := httptest.NewRecorder()
		g.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		got := strconv.Itoa(rec.Code)
		if rec.Code == http.StatusOK {
			got += " " + rec.Body.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
