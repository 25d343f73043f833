package command

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/unip-knative/unip/cmd/unip/internal/gateway"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/eventing/users"
	"github.com/unip-knative/unip/functions/gateway/service"
	"github.com/unip-knative/unip/functions/gateway/service/memory"
)

// A log that is followed for longer than one stream lasts goes on in the next one: nothing is lost, and
// nothing comes twice.
func TestALogOutlivesItsStream(t *testing.T) {
	t.Parallel()
	file, err := routes.Decode([]byte(`{"apis":[{"name":"runs","kind":"pipelines","path":"pipelines"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	g, err := service.New(service.Options{Namespace: "ns", Routes: file, Runs: store})
	if err != nil {
		t.Fatal(err)
	}
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "train-1"}}
	run.Spec.User, run.Status.State = users.Anonymous, runtimev1.Running
	run.Status.Stages = []runtimev1.StageStatus{
		{Name: "fit", State: runtimev1.Running, Attempt: 1, StartTime: new(metav1.NowMicro())},
	}
	if err := store.Create(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	store.Write("train-1", "fit", 1, "one\n", false)
	var streams atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/logs") {
			switch streams.Add(1) {
			case 2:
				store.Write("train-1", "fit", 1, "two\n", false)
			case 3:
				store.Write("train-1", "fit", 1, "three\n", true)
				store.Update("train-1", func(run *runtimev1.PipelineRun) {
					run.Status.State, run.Status.Stages[0].State = runtimev1.Succeeded, runtimev1.Succeeded
				})
			}
		}
		g.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	var out, stderr bytes.Buffer
	l := &logs{
		run: "train-1", follow: true, patience: 100 * time.Millisecond, stderr: &stderr,
		m: &gateway.Client{URL: srv.URL + "/ns", HTTP: srv.Client()}, out: &logWriter{w: &out, byLine: true},
		logs: map[logName]*logState{},
	}
	if err := l.show(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "fit | one\nfit | two\nfit | three\n"; out.String() != want || stderr.Len() > 0 || streams.Load() < 3 {
		t.Errorf("%q in %d streams, want %q; %s", out.String(), streams.Load(), want, stderr.String())
	}
}
