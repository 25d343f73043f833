package record

import (
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/plainjson"
)

// FileName is the name of that file.
const FileName = "run.json"

// File is run.json: a run that has ended, with what only its owner is told.
type File struct {
	Run
	User string `json:"user,omitempty"`
	// Inputs are the very versions that were read.
	Inputs map[string]runtimev1.InputPath `json:"inputs"`
	// Outputs are null in a run that came to none.
	Outputs        map[string]string `json:"outputs"`
	Stages         []FileStage       `json:"stages"`
	IdempotencyKey string            `json:"idempotency_key,omitempty"`
}

// FileStage is a stage in run.json.
type FileStage struct {
	Stage
	Image string `json:"image"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// FileOf is the record of a run.
func FileOf(run *runtimev1.PipelineRun) File {
	f := File{
		Run: Of(run), User: run.Spec.User, Inputs: run.Spec.Inputs, Outputs: run.Status.Outputs,
		IdempotencyKey: run.Spec.IdempotencyKey,
	}
	for i := range run.Status.Stages {
		st := &run.Status.Stages[i]
		f.Stages = append(f.Stages, FileStage{Stage: stageOf(st), Image: st.Spec.Image, Files: st.Files,
			Bytes: st.Bytes})
	}
	return f
}

// Encode writes run.json.
func (f File) Encode() ([]byte, error) { return plainjson.MarshalIndent(f, "  ") }
