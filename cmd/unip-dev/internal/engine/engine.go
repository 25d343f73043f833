package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/minio/minio-go/v7"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/plan"
	"github.com/unip-knative/unip/functions/gateway/service"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/module"
)

// Options of an engine.
type Options struct {
	Module *module.Module
	// Dir is the engine's own folder: runs and attempts.
	Dir string
	// Code is the folder with the module's code. A process finds what lies in it in its working folder.
	Code string
	// Python is the program in place of python and python3 in a stage's command; "" is that of PATH.
	Python string
	// Containers is the program that runs stages in their images, podman or docker; "" is none, and
	// stages are processes. ContainerFlags are for its run command as they are.
	Containers     string
	ContainerFlags []string
	// Parallel is how many stages are at work at once; the others wait, as for a node. 0 is the usual.
	Parallel int
	// Session opens S3, for the engine and for what brings and takes the files of stages.
	Session databox.Session
	// Times are the installation's for runs; zero ones are the usual.
	Times installation.Runs
	// Defaults are the limits of stages that name none.
	Defaults installation.Defaults
	Logger   *slog.Logger
	// Happened is told what happens, one after the other; it must not wait.
	Happened func(Happening)
	// Event is given each event of the module.
	Event func(cloudevents.Event)
}

// The kinds of happenings.
const (
	KindUpload   = "upload"
	KindOutput   = "file" // a file that a run has put into a box
	KindRun      = "run"
	KindStage    = "stage"
	KindSchedule = "schedule"
	KindNote     = "note"
)

// Happening is something that whoever looks on may want to know.
type Happening struct {
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind"`
	Pipeline string    `json:"pipeline,omitempty"`
	Run      string    `json:"run,omitempty"`
	Stage    string    `json:"stage,omitempty"`
	Attempt  int       `json:"attempt,omitempty"`
	// Box, User and File are those of an upload, or of a file of a run.
	Box  string `json:"box,omitempty"`
	User string `json:"user,omitempty"`
	File string `json:"file,omitempty"`
	// State is the new one of a run or a stage, Origin why a run began.
	State  runtimev1.State `json:"state,omitempty"`
	Origin string          `json:"origin,omitempty"`
	// Seconds that it took.
	Seconds float64 `json:"seconds,omitempty"`
	Text    string  `json:"text,omitempty"`
}

// Engine carries out runs. It is the store of a gateway.
type Engine struct {
	Options
	namespace string
	bucket    string // of the runs
	store     *store
	s3        *minio.Client
	pipelines atomic.Pointer[pipelines]
	schedules *schedules
	room      chan struct{} // as many as there may be at work
	now       func() time.Time

	// admitting is held from the look at who is under way to the write of who begins.
	admitting sync.Mutex
	telling   sync.Mutex
	entering  sync.Once
	canEnter  bool
	manner    manner

	mu       sync.Mutex
	ctx      context.Context // of what goes on; nil until Serve
	runners  map[string]*runner
	attempts map[string]*attempt
	away     time.Time // since when S3 does not answer
	// elsewhere are variables of which was told that they are not at their fixed paths.
	elsewhere map[string]bool
	all       sync.WaitGroup
}

var _ service.Store = (*Engine)(nil)

// Open opens an engine over what a former one has left in its folder. Processes that outlived it are
// ended. One folder is for one engine at a time.
func Open(o Options) (*Engine, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Times == (installation.Runs{}) {
		o.Times = installation.Default().Runs
	}
	if err := os.MkdirAll(o.Dir, folderMode); err != nil {
		return nil, fmt.Errorf("the engine's folder: %w", err)
	}
	var err error
	for _, dir := range []*string{&o.Dir, &o.Code} {
		if *dir == "" {
			continue
		}
		if *dir, err = filepath.Abs(*dir); err == nil {
			*dir, err = filepath.EvalSymlinks(*dir)
		}
		if err != nil {
			return nil, fmt.Errorf("the folder %s: %w", *dir, err)
		}
	}
	e := &Engine{Options: o, namespace: o.Module.Namespace, bucket: databox.UsualBuckets.Runs(o.Module.Namespace),
		runners: map[string]*runner{}, attempts: map[string]*attempt{}, elsewhere: map[string]bool{},
		now: time.Now}
	e.Use(o.Module)
	if o.Parallel <= 0 {
		o.Parallel = UsualParallel()
	}
	e.room = make(chan struct{}, o.Parallel)
	if e.s3, err = s3.NewClient(o.Session, s3.Static(o.Session)); err != nil {
		return nil, err
	}
	if e.store, err = openStore(filepath.Join(o.Dir, "runs")); err != nil {
		return nil, err
	}
	if e.schedules, err = openSchedules(e); err != nil {
		return nil, err
	}
	if err := errors.Join(e.endLeftovers(), e.endContainers()); err != nil {
		return nil, err
	}
	return e, e.findAttempts()
}

// UsualParallel is how many stages are at work at once: what a machine carries whose processors they
// share. A thousand files that come at once do not become a thousand processes.
func UsualParallel() int { return max(4, 2*runtime.NumCPU()) }

// Use takes another module of the same namespace, for what begins from now on.
func (e *Engine) Use(m *module.Module) { e.pipelines.Store(pipelinesOf(m)) }

const (
	// stopWithin is how long the engine may take to end, and processes to end by themselves.
	stopWithin = 5 * time.Second
	graceful   = 3 * time.Second
	// cleanEvery is the pause between two looks at what may be removed.
	cleanEvery = 10 * time.Minute
)

// Serve carries out runs until ctx ends. Then every process of it is ended; what was under way goes on
// when there is an engine again.
func (e *Engine) Serve(ctx context.Context) error {
	endGuard, err := e.startGuard()
	if err != nil {
		return err
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	e.mu.Lock()
	e.ctx = work
	e.mu.Unlock()
	e.giveUpOthers()
	e.store.look(func(r *runtimev1.PipelineRun) {
		if !over(r) {
			e.wake(r.Name)
		}
	})
	e.all.Go(func() { e.followSchedules(work) })
	clean := time.NewTicker(cleanEvery)
	defer clean.Stop()
	for ctx.Err() == nil {
		e.clean()
		select {
		case <-clean.C:
		case <-ctx.Done():
		}
	}
	e.endAttempts()
	e.all.Wait()
	return endGuard()
}

// over reports a run of which nothing is left to do.
func over(r *runtimev1.PipelineRun) bool { return r.Status.State.Done() && r.Status.Recorded }

// clean forgets runs that ended long ago, and removes what failed attempts have left.
func (e *Engine) clean() {
	var old []string
	e.store.look(func(r *runtimev1.PipelineRun) {
		if over(r) && r.Status.CompletionTime != nil && e.now().Sub(r.Status.CompletionTime.Time) > e.Times.Keep() {
			old = append(old, r.Name)
		}
	})
	for _, name := range old {
		if err := e.store.drop(name); err != nil {
			e.Logger.Warn("an old run stays", "run", name, "error", err)
		}
	}
	e.removeOld(e.now().Add(-time.Duration(e.Times.JobTTLSeconds) * time.Second))
}

// tell tells what has happened.
func (e *Engine) tell(h Happening) {
	if e.Happened == nil {
		return
	}
	e.telling.Lock()
	defer e.telling.Unlock()
	h.Time = e.now()
	e.Happened(h)
}

// Pipelines are those of the module.
func (e *Engine) Pipelines(context.Context) ([]runtimev1.Pipeline, error) {
	return e.pipelines.Load().objects(), nil
}

// Create keeps a new run, and begins it.
func (e *Engine) Create(_ context.Context, r *runtimev1.PipelineRun) error {
	r.Namespace = e.namespace
	if err := e.store.create(r); err != nil {
		return err
	}
	e.tell(Happening{Kind: KindRun, Pipeline: r.Spec.Pipeline, Run: r.Name, User: r.Spec.User, State: runtimev1.Pending,
		Origin: r.Spec.Origin})
	e.wake(r.Name)
	return nil
}

// Run is the run of a name.
func (e *Engine) Run(_ context.Context, name string) (*runtimev1.PipelineRun, error) {
	return e.store.get(name)
}

// Runs are those of one pipeline, or all.
func (e *Engine) Runs(_ context.Context, pipeline string) ([]runtimev1.PipelineRun, error) {
	return e.store.all(pipeline), nil
}

// Cancel asks for a run's end.
func (e *Engine) Cancel(_ context.Context, r *runtimev1.PipelineRun) error {
	if err := e.store.cancel(r.Name); err != nil {
		return err
	}
	r.Spec.Cancel = true
	e.wake(r.Name)
	return nil
}

// Change waits until a run is another than the caller's.
func (e *Engine) Change(ctx context.Context, r *runtimev1.PipelineRun) (*runtimev1.PipelineRun, error) {
	return e.store.change(ctx, r), nil
}

// Log is what the process of a stage has written, with follow to its end.
func (e *Engine) Log(
	ctx context.Context, r *runtimev1.PipelineRun, st *runtimev1.StageStatus, follow bool,
) (io.ReadCloser, error) {
	name := st.Job
	if st.RanAttempt > 0 { // the present one may only complete what that one has left
		name = plan.AttemptName(r, st.Name, st.RanAttempt)
	}
	a := e.attempt(name)
	if a == nil {
		return nil, service.ErrNoLog
	}
	return a.readLog(ctx, follow)
}

func (e *Engine) attempt(name string) *attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.attempts[name]
}

// storageAway is since when S3 does not answer.
func (e *Engine) storageAway() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.away
}

// asked notes what a request to S3 says of S3 itself.
func (e *Engine) asked(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	answers := !s3.IsAbsent(err) && !errors.Is(err, context.DeadlineExceeded)
	switch {
	case answers && !e.away.IsZero():
		e.away = time.Time{}
		for _, r := range e.runners { // some may wait for that
			r.call()
		}
	case !answers && e.away.IsZero():
		e.away = e.now()
		if e.ctx != nil && e.ctx.Err() == nil {
			ctx := e.ctx
			e.all.Go(func() { e.awaitStorage(ctx) })
		}
	}
}

// awaitStorage asks S3 until it answers: who waits for it asks seldom.
func (e *Engine) awaitStorage(ctx context.Context) {
	tick := time.NewTicker(waitAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if e.storageAway().IsZero() {
			return
		}
		asks, cancel := context.WithTimeout(ctx, commitTimeout)
		_, err := e.s3.BucketExists(asks, e.bucket)
		cancel()
		e.asked(err)
	}
}
