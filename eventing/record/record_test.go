package record_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/record"
)

var born = time.Date(2026, 7, 1, 12, 0, 0, 0, time.FixedZone("", 3*3600))

// run has one of everything.
func run() *runtimev1.PipelineRun {
	return &runtimev1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Name: "train-1", CreationTimestamp: metav1.NewTime(born)},
		Spec: runtimev1.PipelineRunSpec{
			Pipeline: "train", User: "ann", Origin: "API", IdempotencyKey: "monday",
			Inputs: map[string]runtimev1.InputPath{"table": {Path: "data/in/t.csv", ETag: "e1"}},
		},
		Status: runtimev1.PipelineRunStatus{
			State: runtimev1.Failed, Message: "stage fit failed",
			StartTime:      new(metav1.NewTime(born.Add(time.Second))),
			CompletionTime: new(metav1.NewTime(born.Add(time.Minute))),
			Outputs:        map[string]string{"model": "data/train/train-1/model/"},
			Stages: []runtimev1.StageStatus{
				{
					Name: "fit", Needs: []string{"load"}, State: runtimev1.Failed, Attempt: 2, ExitCode: new(int32(0)),
					StartTime:      new(metav1.NewMicroTime(born.Add(1500 * time.Millisecond))),
					CompletionTime: new(metav1.NewMicroTime(born.Add(2 * time.Second))),
					Reason:         "Error", Message: "<it> failed", Files: 3, Bytes: 4096,
					Spec: runtimev1.Stage{Image: "registry.example/fit"},
				},
				{Name: "test", State: runtimev1.Skipped},
			},
		},
	}
}

func compact(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The bytes of the pipelines API are a promise to its callers.
func TestTheAPIsJSON(t *testing.T) {
	t.Parallel()
	head := `{"run_id":"train-1","pipeline":"train","status":"Failed","message":"stage fit failed","origin":"API",` +
		`"created_at":"2026-07-01T09:00:00Z","started_at":"2026-07-01T09:00:01Z","ended_at":"2026-07-01T09:01:00Z",` +
		`"inputs":{"table":"data/in/t.csv"},"outputs":{"model":"data/train/train-1/model/"}`
	if d := cmp.Diff(head+"}", compact(t, record.Of(run()))); d != "" {
		t.Errorf("in a list (-want +got):\n%s", d)
	}
	stages := `,"stages":[{"name":"fit","needs":["load"],"status":"Failed","attempt":2,"started_at":"2026-07-01T09:00:01.5Z",` +
		`"ended_at":"2026-07-01T09:00:02Z","exit_code":0,"reason":"Error","message":"\u003cit\u003e failed","files":3,"bytes":4096},` +
		`{"name":"test","status":"Skipped"}]}`
	if d := cmp.Diff(head+stages, compact(t, record.WithStages(run()))); d != "" {
		t.Errorf("by itself (-want +got):\n%s", d)
	}
}

// A run that nobody has looked at yet is Pending, with empty maps where others have places.
func TestANewRun(t *testing.T) {
	t.Parallel()
	young := &runtimev1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Name: "train-1", CreationTimestamp: metav1.NewTime(born)},
		Spec:       runtimev1.PipelineRunSpec{Pipeline: "train", Origin: "API"},
	}
	want := `{"run_id":"train-1","pipeline":"train","status":"Pending","origin":"API","created_at":"2026-07-01T09:00:00Z","inputs":{},"outputs":{}}`
	if d := cmp.Diff(want, compact(t, record.WithStages(young))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// What the API says is what a client understands.
func TestTheAPIsJSONIsRead(t *testing.T) {
	t.Parallel()
	want := record.WithStages(run())
	var got record.Run
	if err := json.Unmarshal([]byte(compact(t, want)), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// run.json tells the whole run: its user, the versions that were read, the images.
func TestFile(t *testing.T) {
	t.Parallel()
	b, err := record.FileOf(run()).Encode()
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{
		"run_id": "train-1", "pipeline": "train", "user": "ann", "origin": "API", "status": "Failed",
		"message": "stage fit failed", "created_at": "2026-07-01T09:00:00Z",
		"started_at": "2026-07-01T09:00:01Z", "ended_at": "2026-07-01T09:01:00Z",
		"inputs": {"table": {"path": "data/in/t.csv", "etag": "e1"}},
		"outputs": {"model": "data/train/train-1/model/"},
		"stages": [{
			"name": "fit", "needs": ["load"], "image": "registry.example/fit", "status": "Failed", "reason": "Error",
			"message": "<it> failed", "attempt": 2, "exit_code": 0,
			"started_at": "2026-07-01T09:00:01.5Z", "ended_at": "2026-07-01T09:00:02Z", "files": 3, "bytes": 4096
		}, {"name": "test", "image": "", "status": "Skipped", "files": 0, "bytes": 0}],
		"idempotency_key": "monday"
	}`), &want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if b, err := record.FileOf(&runtimev1.PipelineRun{}).Encode(); err != nil || !json.Valid(b) {
		t.Errorf("%s %v", b, err)
	}
}
