package engine

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/functions/gateway/service"
)

const (
	// folderMode and fileMode are for what nobody else is to read.
	folderMode, fileMode = 0o700, 0o600
	// runFile ends the name of a run's file.
	runFile = ".json"
)

// errOther says that a run has been changed since it was read.
var errOther = errors.New("the run has been changed meanwhile")

// runName is the form of a run's name, as the CRD has it.
var runName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$`)

// store keeps runs, each in a file of its own. What is read comes from memory, and nothing is in
// memory that is not in its file: a file is written whole beside the old one, and takes its place.
type store struct {
	dir string

	mu      sync.Mutex
	runs    map[string]*runtimev1.PipelineRun // none of them is changed: another one takes its place
	version uint64
	changed chan struct{} // closed at the next change
}

func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, fmt.Errorf("the folder of runs: %w", err)
	}
	s := &store{dir: dir, runs: map[string]*runtimev1.PipelineRun{}, changed: make(chan struct{})}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("the folder of runs: %w", err)
	}
	for _, f := range files {
		name, is := strings.CutSuffix(f.Name(), runFile)
		if !is || !f.Type().IsRegular() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("the folder of runs: %w", err)
		}
		run := &runtimev1.PipelineRun{}
		if err := json.Unmarshal(b, run); err != nil || run.Name != name {
			return nil, fmt.Errorf("%s is not the file of a run: remove it", filepath.Join(dir, f.Name()))
		}
		if v, err := strconv.ParseUint(run.ResourceVersion, 10, 64); err == nil {
			s.version = max(s.version, v)
		}
		s.runs[name] = run
	}
	return s, nil
}

// put writes a run as its next version. The lock is held.
func (s *store) put(run *runtimev1.PipelineRun) error {
	next := run.DeepCopy()
	next.ResourceVersion = strconv.FormatUint(s.version+1, 10)
	b, err := json.Marshal(next)
	if err == nil {
		err = replaceFile(filepath.Join(s.dir, run.Name+runFile), b)
	}
	if err != nil {
		return fmt.Errorf("keeping run %s: %w", run.Name, err)
	}
	s.version++
	run.ResourceVersion = next.ResourceVersion
	s.runs[run.Name] = next
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// replaceFile writes a file whole, or leaves what was there.
func replaceFile(name string, b []byte) error {
	half := name + ".new"
	if err := os.WriteFile(half, b, fileMode); err != nil {
		return errors.Join(err, remove(half))
	}
	return os.Rename(half, name)
}

func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// create keeps a new run.
func (s *store) create(run *runtimev1.PipelineRun) error {
	switch {
	case !runName.MatchString(run.Name):
		return &service.InvalidRunError{Reason: fmt.Sprintf("%q is not the name of a run", run.Name)}
	case !pipeline.IsName(run.Spec.Pipeline):
		return &service.InvalidRunError{Reason: fmt.Sprintf("%q is not the name of a pipeline", run.Spec.Pipeline)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs[run.Name] != nil {
		return fmt.Errorf("%w: %s", service.ErrRunExists, run.Name)
	}
	run.UID = types.UID(strings.ToLower(rand.Text()))
	run.Generation = 1
	run.CreationTimestamp = metav1.NewTime(time.Now().Truncate(time.Second)) // as it is in the file
	return s.put(run)
}

// get is a run, or service.ErrNoRun.
func (s *store) get(name string) (*runtimev1.PipelineRun, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runs[name] == nil {
		return nil, fmt.Errorf("%w: %s", service.ErrNoRun, name)
	}
	return s.runs[name].DeepCopy(), nil
}

// all are the runs of one pipeline, or all for "".
func (s *store) all(pipeline string) []runtimev1.PipelineRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []runtimev1.PipelineRun
	for _, run := range s.runs {
		if pipeline == "" || run.Spec.Pipeline == pipeline {
			all = append(all, *run.DeepCopy())
		}
	}
	return all
}

// look gives each run to a function, which must not change it.
func (s *store) look(at func(*runtimev1.PipelineRun)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, run := range s.runs {
		at(run)
	}
}

// cancel writes that a run is to end.
func (s *store) cancel(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.runs[name]
	if was == nil {
		return fmt.Errorf("%w: %s", service.ErrNoRun, name)
	}
	if was.Spec.Cancel {
		return nil
	}
	run := was.DeepCopy()
	run.Spec.Cancel = true
	run.Generation++
	return s.put(run)
}

// writeStatus keeps the status of a run, unless it is another version than the caller's.
func (s *store) writeStatus(run *runtimev1.PipelineRun) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was := s.runs[run.Name]; was == nil || was.ResourceVersion != run.ResourceVersion {
		return errOther
	}
	return s.put(run)
}

// drop forgets a run.
func (s *store) drop(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := remove(filepath.Join(s.dir, name+runFile)); err != nil {
		return fmt.Errorf("forgetting run %s: %w", name, err)
	}
	delete(s.runs, name)
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// change waits until a run is another than the caller's.
func (s *store) change(ctx context.Context, run *runtimev1.PipelineRun) *runtimev1.PipelineRun {
	for {
		s.mu.Lock()
		now, changed := s.runs[run.Name], s.changed
		s.mu.Unlock()
		if now == nil || now.ResourceVersion != run.ResourceVersion {
			return now.DeepCopy()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}
