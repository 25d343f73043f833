// Package record is a run as JSON: what the pipelines API answers and the command line shows, and
// run.json, the record that stands beside a run's outputs.
package record

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// Run is a run. A time that has not come is zero, and not in the JSON.
type Run struct {
	ID       string          `json:"run_id"`
	Pipeline string          `json:"pipeline"`
	Status   runtimev1.State `json:"status"`
	Message  string          `json:"message,omitempty"`
	// Notes are what its author should know beside: variables that are not where connectedBoxes
	// would have them.
	Notes     []string  `json:"notes,omitempty"`
	Origin    string    `json:"origin,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// Inputs and Outputs are places by variable. They are left out where they are nil: the answer
	// to a start has none.
	Inputs  map[string]string `json:"inputs,omitzero"`
	Outputs map[string]string `json:"outputs,omitzero"`
	// Stages are there when one run is asked for, and not in lists.
	Stages []Stage `json:"stages,omitempty"`
}

// Stage is one stage of a run. Files and Bytes are what it gave to its outputs.
type Stage struct {
	Name    string          `json:"name"`
	Needs   []string        `json:"needs,omitempty"`
	Status  runtimev1.State `json:"status"`
	Attempt int             `json:"attempt,omitempty"`
	// Failures are the attempts that failed by the stage's own doing. WaitingSince is since when it
	// has waited for what is not: storage, the API server, a node. WaitedSeconds are former waits.
	Failures      int       `json:"failures,omitempty"`
	WaitingSince  time.Time `json:"waiting_since,omitzero"`
	WaitedSeconds int64     `json:"waited_seconds,omitempty"`
	StartedAt     time.Time `json:"started_at,omitzero"`
	EndedAt       time.Time `json:"ended_at,omitzero"`
	ExitCode      *int32    `json:"exit_code,omitempty"`
	Reason        string    `json:"reason,omitempty"`
	Message       string    `json:"message,omitempty"`
	Files         int       `json:"files,omitempty"`
	Bytes         int64     `json:"bytes,omitempty"`
}

// Of is a run without its stages. One that the controller has not seen yet is Pending.
func Of(run *runtimev1.PipelineRun) Run {
	r := Run{
		ID: run.Name, Pipeline: run.Spec.Pipeline, Status: StateOf(run), Message: run.Status.Message,
		Origin:    run.Spec.Origin,
		CreatedAt: run.CreationTimestamp.UTC(),
		StartedAt: timeOf(run.Status.StartTime), EndedAt: timeOf(run.Status.CompletionTime),
		Inputs: map[string]string{}, Outputs: map[string]string{},
	}
	if c := meta.FindStatusCondition(run.Status.Conditions, runtimev1.ConditionPlaced); c != nil && c.Message != "" {
		r.Notes = []string{c.Message}
	}
	for name, in := range run.Spec.Inputs {
		r.Inputs[name] = in.Path
	}
	for name, place := range run.Status.Outputs {
		r.Outputs[name] = place
	}
	return r
}

// WithStages is a run with its stages.
func WithStages(run *runtimev1.PipelineRun) Run {
	r := Of(run)
	for i := range run.Status.Stages {
		r.Stages = append(r.Stages, stageOf(&run.Status.Stages[i]))
	}
	return r
}

func stageOf(st *runtimev1.StageStatus) Stage {
	return Stage{
		Name: st.Name, Needs: st.Needs, Status: st.State, Attempt: st.Attempt,
		Failures: st.Failures, WaitingSince: microTimeOf(st.WaitingSince), WaitedSeconds: st.WaitedSeconds,
		StartedAt: microTimeOf(st.StartTime), EndedAt: microTimeOf(st.CompletionTime),
		ExitCode: st.ExitCode, Reason: st.Reason, Message: st.Message, Files: st.Files, Bytes: st.Bytes,
	}
}

// StateOf is a run's state. One that the controller has not seen yet is Pending.
func StateOf(run *runtimev1.PipelineRun) runtimev1.State {
	if run.Status.State == "" {
		return runtimev1.Pending
	}
	return run.Status.State
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func microTimeOf(t *metav1.MicroTime) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
