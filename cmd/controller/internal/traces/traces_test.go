package traces

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/translate/installation"
)

// receiver is a collector that takes OTLP over HTTP.
func receiver(t *testing.T) (url string, spans func() map[string]*otlp.Span) {
	t.Helper()
	var mu sync.Mutex
	all := map[string]*otlp.Span{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(b, &request); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, of := range request.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				for _, s := range scope.Spans {
					if was := all[s.Name]; was != nil && string(was.SpanId) != string(s.SpanId) {
						t.Errorf("%s has other ids each time", s.Name)
					}
					all[s.Name] = s
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, func() map[string]*otlp.Span {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

// private is in what the stage has printed, and so in messages, which the module alone reads.
const private = "Ann Lee, born 1970"

func finished() (*runtimev1.PipelineRun, *corev1.Pod) {
	at := func(second int) *metav1.MicroTime {
		return &metav1.MicroTime{Time: time.Unix(1000, 0).Add(time.Duration(second) * time.Second)}
	}
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "pu-ann", Name: "fit-1", UID: "u-1",
		CreationTimestamp: metav1.Unix(1000, 0)}}
	run.Spec.Pipeline, run.Spec.Origin = "fit", "API"
	run.Status.State, run.Status.Message = runtimev1.Failed, "stage train failed: KeyError: "+private
	run.Status.CompletionTime = &metav1.Time{Time: at(9).Time}
	run.Status.Stages = []runtimev1.StageStatus{
		{Name: "split", State: runtimev1.Succeeded, Attempt: 1, StartTime: at(1), CompletionTime: at(5), Bytes: 7},
		{Name: "train", State: runtimev1.Failed, Attempt: 2, Reason: "OOMKilled", Message: "KeyError: " + private,
			StartTime: at(5), CompletionTime: at(9)},
		{Name: "never", State: runtimev1.Skipped},
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "fit-1-split"}}
	container := func(name string, from, to int) corev1.ContainerStatus {
		ended := &corev1.ContainerStateTerminated{
			StartedAt: metav1.Time{Time: at(from).Time}, FinishedAt: metav1.Time{Time: at(to).Time}}
		return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: ended}}
	}
	pod.Status.InitContainerStatuses = []corev1.ContainerStatus{container("fetch", 1, 2), container("function", 2, 4)}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{container("publish", 4, 5)}
	return run, pod
}

// A run is one tree below the call that asked for it: run, stages, containers. Whoever tells it again
// tells the same spans, and a function that goes on with its TRACEPARENT is below its stage.
func TestARunIsOneTree(t *testing.T) {
	t.Parallel()
	url, spans := receiver(t)
	run, pod := finished()
	const called = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	run.Annotations = map[string]string{runtimev1.TraceParentAnnotation: called}
	tracing := installation.Tracing{Endpoint: url}
	for range 2 { // two leaders, one after the other
		e := &Exporter{}
		e.Stage(run, &run.Status.Stages[0], pod, tracing)
		e.Stage(run, &run.Status.Stages[1], nil, tracing)
		e.Stage(run, &run.Status.Stages[2], nil, tracing)
		e.Run(run, tracing)
		e.Close()
	}
	got := spans()
	for name, parent := range map[string]string{"run fit": "", "stage split": "run fit", "stage train": "run fit",
		"fetch": "stage split", "function": "stage split", "publish": "stage split"} {
		s := got[name]
		if s == nil {
			t.Fatalf("no span %q among %v", name, got)
		}
		want := "b7ad6b7169203331"
		if parent != "" {
			want = hex.EncodeToString(got[parent].SpanId)
		}
		if hex.EncodeToString(s.TraceId) != "0af7651916cd43dd8448eb211c80319c" ||
			hex.EncodeToString(s.ParentSpanId) != want {
			t.Errorf("%s: trace %x, below %x, want %s", name, s.TraceId, s.ParentSpanId, want)
		}
		if s.StartTimeUnixNano > s.EndTimeUnixNano {
			t.Errorf("%s ends before it begins", name)
		}
	}
	if len(got) != 6 {
		t.Errorf("%d spans", len(got))
	}
	if s := got["stage train"].Status; s.Code != otlp.Status_STATUS_CODE_ERROR || s.Message != "OOMKilled" {
		t.Errorf("%v", s)
	}
	if s := got["run fit"].Status; s.Code != otlp.Status_STATUS_CODE_ERROR || s.Message != "stage train: OOMKilled" {
		t.Errorf("%v", s)
	}
	for name, s := range got {
		if strings.Contains(s.String(), private) {
			t.Errorf("%s tells the collector what the stage has printed: %v", name, s)
		}
	}
	if s := got["run fit"]; s.StartTimeUnixNano != 1000e9 || s.EndTimeUnixNano != 1009e9 {
		t.Errorf("%v", s)
	}
	if p := Parent(run, "split", tracing); p != "00-0af7651916cd43dd8448eb211c80319c-"+hex.EncodeToString(
		got["stage split"].SpanId)+"-01" {
		t.Errorf("TRACEPARENT %s", p)
	}
}

// A run of a file begins with its upload, and one whose annotation is nonsense does not. S3's clock may
// be ahead.
func TestAnUploadIsTheRoot(t *testing.T) {
	t.Parallel()
	for said, begins := range map[string]uint64{
		"1970-01-01T00:16:37.5Z": 997.5e9, "1970-01-01T00:16:41Z": 1000e9, "1960-01-01T00:00:00Z": 0, "soon": 0, "": 0,
	} {
		url, spans := receiver(t)
		run, _ := finished()
		run.Annotations = map[string]string{runtimev1.UploadedAnnotation: said}
		e := &Exporter{}
		e.Run(run, installation.Tracing{Endpoint: url, SamplingRate: 1})
		e.Close()
		got := spans()
		upload, of := got["upload"], got["run fit"]
		if (begins > 0) != (upload != nil) || of == nil {
			t.Errorf("%q: %v", said, got)
			continue
		}
		if begins > 0 && (upload.StartTimeUnixNano != begins || upload.EndTimeUnixNano != 1000e9 ||
			len(upload.ParentSpanId) != 0 || !bytes.Equal(of.ParentSpanId, upload.SpanId) ||
			!bytes.Equal(of.TraceId, upload.TraceId)) {
			t.Errorf("%v\n%v", upload, of)
		}
	}
}

// Kubernetes tells the end of a container in whole seconds, which may be before its stage began.
func TestNoSpanEndsBeforeItBegins(t *testing.T) {
	t.Parallel()
	url, spans := receiver(t)
	run, _ := finished()
	st := &run.Status.Stages[1]
	st.StartTime = &metav1.MicroTime{Time: st.CompletionTime.Add(300 * time.Millisecond)}
	e := &Exporter{}
	e.Stage(run, st, nil, installation.Tracing{Endpoint: url, SamplingRate: 1})
	e.Close()
	if s := spans()["stage train"]; s == nil || s.EndTimeUnixNano != s.StartTimeUnixNano {
		t.Errorf("%v", s)
	}
}

// The caller decides whether a run is traced; without one the installation's share does.
func TestWhatIsTraced(t *testing.T) {
	t.Parallel()
	const endpoint = "http://collector:4318"
	for name, c := range map[string]struct {
		annotation string
		tracing    installation.Tracing
		want       bool
	}{
		"no collector":    {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", installation.Tracing{SamplingRate: 1}, false},
		"the caller's no": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", installation.Tracing{Endpoint: endpoint, SamplingRate: 1}, false},
		"no caller, all":  {"", installation.Tracing{Endpoint: endpoint, SamplingRate: 1}, true},
		"no caller, none": {"", installation.Tracing{Endpoint: endpoint}, false},
		"nonsense is nobody": {"00-" + strings.Repeat("z", 400),
			installation.Tracing{Endpoint: endpoint, SamplingRate: 1}, true},
	} {
		run, _ := finished()
		run.Annotations = map[string]string{runtimev1.TraceParentAnnotation: c.annotation}
		if got := Parent(run, "split", c.tracing) != ""; got != c.want {
			t.Errorf("%s: traced %t", name, got)
		}
	}
}
