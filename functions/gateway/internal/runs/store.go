package runs

import (
	"context"
	"errors"
	"io"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

var (
	// ErrNoRun is what a Store says of a run that is not there.
	ErrNoRun = errors.New("there is no such run")
	// ErrRunExists is what it says of a new run whose name another one has.
	ErrRunExists = errors.New("there is a run of this name")
	// ErrNotBegun is what it says of the log of a stage that has not begun to run.
	ErrNotBegun = errors.New("the stage has not begun")
	// ErrNoLog is what it says of the log of a stage whose process is not there any more, or not
	// yet: what it wrote may be in the run bucket.
	ErrNoLog = errors.New("the stage has no process")
)

// InvalidRunError is what a Store says of a new run that can never be kept.
type InvalidRunError struct {
	// Reason is told to the caller.
	Reason string
}

func (e *InvalidRunError) Error() string { return e.Reason }

// Store is where a module's pipelines and runs are. What it gives is the caller's to change.
type Store interface {
	// Pipelines are all of the module, in any order.
	Pipelines(ctx context.Context) ([]runtimev1.Pipeline, error)
	// Create keeps a new run, which has a name. The error is ErrRunExists, an *InvalidRunError, or
	// says that the store does not answer.
	Create(ctx context.Context, run *runtimev1.PipelineRun) error
	// Run is the run of a name, or ErrNoRun.
	Run(ctx context.Context, name string) (*runtimev1.PipelineRun, error)
	// Runs are those of one pipeline, or all for "", in any order.
	Runs(ctx context.Context, pipeline string) ([]runtimev1.PipelineRun, error)
	// Cancel asks for a run's end, and writes into run that it did.
	Cancel(ctx context.Context, run *runtimev1.PipelineRun) error
	// Change waits until a run is another than the caller's, by its resourceVersion, and gives it;
	// nil when it has gone, or the context has ended.
	Change(ctx context.Context, run *runtimev1.PipelineRun) (*runtimev1.PipelineRun, error)
	// Log is what the process of a stage of the run writes, with follow to its end. The error is
	// ErrNotBegun, ErrNoLog, or says that the store does not answer.
	Log(ctx context.Context, run *runtimev1.PipelineRun, st *runtimev1.StageStatus, follow bool) (io.ReadCloser, error)
}
