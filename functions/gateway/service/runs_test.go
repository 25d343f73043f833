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
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/record"
	"github.com/unip-knative/unip/eventing/routes"
)

// memory is a Store without a cluster.
type memory struct {
	mu      sync.Mutex
	runs    map[string]*runtimev1.PipelineRun
	version int
	changed chan struct{} // closed at the next change
}

var _ Store = (*memory)(nil)

func newMemory() *memory {
	return &memory{runs: map[string]*runtimev1.PipelineRun{}, changed: make(chan struct{})}
}

func (m *memory) put(run *runtimev1.PipelineRun) {
	m.version++
	run.ResourceVersion = strconv.Itoa(m.version)
	m.runs[run.Name] = run.DeepCopy()
	close(m.changed)
	m.changed = make(chan struct{})
}

// update changes a run as whoever runs it does.
func (m *memory) update(name string, change func(*runtimev1.PipelineRun)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	run := m.runs[name].DeepCopy()
	change(run)
	m.put(run)
}

func (m *memory) Pipelines(context.Context) ([]runtimev1.Pipeline, error) {
	return []runtimev1.Pipeline{{
		ObjectMeta: metav1.ObjectMeta{Name: "train"},
		Spec:       runtimev1.PipelineSpec{Stages: []runtimev1.Stage{{Name: "fit"}}},
	}}, nil
}

func (m *memory) Create(_ context.Context, run *runtimev1.PipelineRun) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs[run.Name] != nil {
		return ErrRunExists
	}
	run.CreationTimestamp = metav1.Now()
	m.put(run)
	return nil
}

func (m *memory) Run(_ context.Context, name string) (*runtimev1.PipelineRun, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runs[name] == nil {
		return nil, ErrNoRun
	}
	return m.runs[name].DeepCopy(), nil
}

func (m *memory) Runs(context.Context, string) ([]runtimev1.PipelineRun, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []runtimev1.PipelineRun
	for _, run := range m.runs {
		all = append(all, *run.DeepCopy())
	}
	return all, nil
}

func (m *memory) Cancel(_ context.Context, run *runtimev1.PipelineRun) error {
	run.Spec.Cancel = true
	m.update(run.Name, func(kept *runtimev1.PipelineRun) { kept.Spec.Cancel = true })
	return nil
}

func (m *memory) Change(ctx context.Context, run *runtimev1.PipelineRun) (*runtimev1.PipelineRun, error) {
	for {
		m.mu.Lock()
		now, changed := m.runs[run.Name], m.changed
		m.mu.Unlock()
		if now == nil || now.ResourceVersion != run.ResourceVersion {
			return now.DeepCopy(), nil
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-changed:
		}
	}
}

func (m *memory) Log(
	_ context.Context, _ *runtimev1.PipelineRun, st *runtimev1.StageStatus, _ bool,
) (io.ReadCloser, error) {
	if st.State == runtimev1.Pending {
		return nil, ErrNotBegun
	}
	return io.NopCloser(strings.NewReader("line of " + st.Name + "\n")), nil
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
	store := newMemory()
	g, err := New(Options{Namespace: "pu-ann", Routes: file, Runs: store})
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path string, want int, answer any) http.Header {
		t.Helper()
		r := httptest.NewRequest(method, path, http.NoBody)
		r.Header.Set("Idempotency-Key", "monday")
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

	store.update(run.ID, func(x *runtimev1.PipelineRun) {
		x.Status.State = runtimev1.Running
		x.Status.Stages = []runtimev1.StageStatus{
			{Name: "fit", State: runtimev1.Running, StartTime: new(metav1.NowMicro())},
			{Name: "test", State: runtimev1.Pending, StartTime: new(metav1.NowMicro())},
			{Name: "later", State: runtimev1.Pending},
		}
	})
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
	store := newMemory()
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
	store.update("train-1", func(x *runtimev1.PipelineRun) { x.Status.State = runtimev1.Succeeded })
	b, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if got := string(b); !strings.Contains(got, "event: run\n") || !strings.Contains(got, `"status":"Succeeded"`) {
		t.Errorf("%s", got)
	}
}
