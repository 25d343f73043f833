// Package memory is a store of runs without a cluster, for tests of a gateway and of its callers. Who
// tests plays the controller.
package memory

import (
	"context"
	"io"
	"strconv"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/functions/gateway/internal/runs"
)

// Store has the module's runs.
type Store struct {
	pipelines []runtimev1.Pipeline

	mu      sync.Mutex
	runs    map[string]*runtimev1.PipelineRun
	logs    map[logKey]*log
	version int
	changed chan struct{} // closed at the next change
}

var _ runs.Store = (*Store)(nil)

type logKey struct {
	run, stage string
	attempt    int
}

type log struct {
	text  []byte
	ended bool
}

// New is a store of a module with these pipelines.
func New(pipelines ...runtimev1.Pipeline) *Store {
	return &Store{
		pipelines: pipelines, runs: map[string]*runtimev1.PipelineRun{}, logs: map[logKey]*log{},
		changed: make(chan struct{}),
	}
}

func (s *Store) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Store) put(run *runtimev1.PipelineRun) {
	s.version++
	run.ResourceVersion = strconv.Itoa(s.version)
	s.runs[run.Name] = run.DeepCopy()
	s.tell()
}

// Update changes a run as the controller does.
func (s *Store) Update(name string, change func(*runtimev1.PipelineRun)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	run := s.runs[name].DeepCopy()
	change(run)
	s.put(run)
}

// Write adds to what an attempt of a stage has written; ended says that this was all.
func (s *Store) Write(run, stage string, attempt int, text string, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := logKey{run, stage, attempt}
	l := s.logs[key]
	if l == nil {
		l = &log{}
		s.logs[key] = l
	}
	l.text, l.ended = append(l.text, text...), ended
	s.tell()
}

// Pipelines are those that New was given.
func (s *Store) Pipelines(context.Context) ([]runtimev1.Pipeline, error) { return s.pipelines, nil }

// Create keeps a new run.
func (s *Store) Create(_ context.Context, run *runtimev1.PipelineRun) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs[run.Name] != nil {
		return runs.ErrRunExists
	}
	if run.CreationTimestamp.IsZero() {
		run.CreationTimestamp = metav1.Now()
	}
	s.put(run)
	return nil
}

// Run is the run of a name.
func (s *Store) Run(_ context.Context, name string) (*runtimev1.PipelineRun, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs[name] == nil {
		return nil, runs.ErrNoRun
	}
	return s.runs[name].DeepCopy(), nil
}

// Runs are those of one pipeline, or all.
func (s *Store) Runs(_ context.Context, pipeline string) ([]runtimev1.PipelineRun, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []runtimev1.PipelineRun
	for _, run := range s.runs {
		if pipeline == "" || run.Spec.Pipeline == pipeline {
			all = append(all, *run.DeepCopy())
		}
	}
	return all, nil
}

// Cancel asks for a run's end.
func (s *Store) Cancel(_ context.Context, run *runtimev1.PipelineRun) error {
	run.Spec.Cancel = true
	s.Update(run.Name, func(kept *runtimev1.PipelineRun) { kept.Spec.Cancel = true })
	return nil
}

// Change waits until a run is another than the caller's.
func (s *Store) Change(ctx context.Context, run *runtimev1.PipelineRun) (*runtimev1.PipelineRun, error) {
	for {
		s.mu.Lock()
		now, changed := s.runs[run.Name], s.changed
		s.mu.Unlock()
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

// Log is what the attempt of a stage has written so far, or goes on until that has ended.
func (s *Store) Log(
	ctx context.Context, run *runtimev1.PipelineRun, st *runtimev1.StageStatus, follow bool,
) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[logKey{run.Name, st.Name, st.LogAttempt()}]
	switch {
	case l == nil && !st.State.Done():
		return nil, runs.ErrNotBegun
	case l == nil:
		return io.NopCloser(strings.NewReader("")), nil
	}
	return io.NopCloser(&reader{ctx: ctx, store: s, log: l, follow: follow}), nil
}

type reader struct {
	ctx    context.Context
	store  *Store
	log    *log
	n      int
	follow bool
}

func (r *reader) Read(b []byte) (int, error) {
	for {
		r.store.mu.Lock()
		n := copy(b, r.log.text[r.n:])
		ended, changed := r.log.ended || !r.follow, r.store.changed
		r.store.mu.Unlock()
		switch r.n += n; {
		case n > 0:
			return n, nil
		case ended:
			return 0, io.EOF
		}
		select {
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		case <-changed:
		}
	}
}
