package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/plan"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/run"
)

// What lies in the folder of an attempt.
const (
	factsFile  = "attempt.json"
	logFile    = "log"
	dataDir    = "data"     // a folder for each variable
	workDir    = "work"     // the working folder: a copy of the module's code
	homeDir    = "home"     // HOME
	tmpDir     = "tmp"      // TMPDIR
	rootDir    = "root"     // of the file system of a process that sees some paths elsewhere
	sessionDir = "sessions" // of what brings and takes files
)

// reasonNoRoom is why a stage waits: on the disk, or among those that are at work.
const reasonNoRoom = "NoRoom"

// facts are what is known of an attempt, kept in its folder.
type facts struct {
	Run      string    `json:"run"`
	Stage    string    `json:"stage"`
	Number   int       `json:"number"`
	Complete bool      `json:"complete,omitempty"`
	Pipeline string    `json:"pipeline"`
	Made     time.Time `json:"made"`
	// Phase and Since: how far it had come.
	Phase run.Phase `json:"phase"`
	Since time.Time `json:"since"`
	// Wait says what it waits for while it has no place.
	Wait string `json:"wait,omitempty"`
	// End is set when it has ended.
	End *run.Attempt `json:"end,omitempty"`
}

// attempt is one attempt of a stage.
type attempt struct {
	engine *Engine
	name   string
	dir    string

	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	facts   facts
	process *process
	saved   bool          // its log is kept, or there is none
	changed chan struct{} // closed at the next change
}

// errStopped is why an attempt ends that was told to.
type errStopped string

func (e errStopped) Error() string { return string(e) }

// errClosing: the engine ends.
const errClosing = errStopped("unip dev was ended while it ran")

func (e *Engine) attemptDir(name string) string { return filepath.Join(e.Dir, "attempts", name) }

// findAttempts finds what a former engine has left. What was under way then is lost.
func (e *Engine) findAttempts() error {
	dir := filepath.Join(e.Dir, "attempts")
	found, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder of attempts: %w", err)
	}
	for _, d := range found {
		a := &attempt{engine: e, name: d.Name(), dir: filepath.Join(dir, d.Name()), changed: make(chan struct{})}
		a.ctx, a.cancel = context.WithCancelCause(context.Background())
		a.cancel(errClosing)
		b, err := os.ReadFile(filepath.Join(a.dir, factsFile))
		if err != nil || json.Unmarshal(b, &a.facts) != nil { // it had not begun
			if err := os.RemoveAll(a.dir); err != nil {
				return fmt.Errorf("the folder of attempts: %w", err)
			}
			continue
		}
		if a.facts.End == nil {
			a.facts.End = e.lost(errClosing.Error())
		}
		a.facts.Phase = run.Ended
		e.attempts[a.name] = a
	}
	return nil
}

func (e *Engine) lost(why string) *run.Attempt {
	return &run.Attempt{Phase: run.Ended, Part: run.Pod, Cause: run.Lost, Since: e.now(), Message: why}
}

// begin makes an attempt. The answer says why that cannot be.
func (e *Engine) begin(r *runtimev1.PipelineRun, st *runtimev1.StageStatus, x run.StartAttempt) *run.Answer {
	never := func(err error) *run.Answer {
		return &run.Answer{ForGood: true, Message: printable.Line(err.Error())}
	}
	sessions, err := plan.MakeSessions(databox.UsualBuckets, r, st)
	if err != nil {
		return never(err)
	}
	fetch, publish := plan.Transfers(r, st,
		plan.Attempt{Number: x.Number, Complete: x.Complete, Patience: x.Patience}, sessions)
	a := &attempt{engine: e, name: x.Name, dir: e.attemptDir(x.Name), changed: make(chan struct{})}
	a.facts = facts{Run: r.Name, Stage: st.Name, Number: x.Number, Complete: x.Complete, Pipeline: r.Spec.Pipeline,
		Made: e.now(), Phase: run.Made}
	for i, out := range publish.Outputs {
		publish.Outputs[i].Paths = append(slices.Clone(out.Paths), filepath.Join(a.dir, dataDir, out.Name))
	}
	if err := errors.Join(fetch.Validate(), publish.Validate()); err != nil {
		return never(err)
	}
	var c command
	if !x.Complete {
		if c, err = e.commandOf(r, st, a.dir); err != nil {
			return never(err)
		}
	}
	if err := a.makeFolders(slices.Concat(sessions.Fetch, sessions.Publish)); err != nil {
		return &run.Answer{Reason: reasonNoRoom, Message: printable.Line(err.Error()), Again: waitAgain}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx == nil || e.ctx.Err() != nil {
		return &run.Answer{Message: "unip dev ends", Again: time.Hour}
	}
	a.ctx, a.cancel = context.WithCancelCause(e.ctx)
	e.attempts[x.Name] = a
	e.all.Go(func() { a.work(fetch, publish, c) })
	return nil
}

// makeFolders makes the attempt's folder. Its facts come last: without them it has not begun.
func (a *attempt) makeFolders(sessions []string) error {
	if err := os.RemoveAll(a.dir); err != nil {
		return err
	}
	for _, name := range []string{dataDir, workDir, homeDir, tmpDir, rootDir, sessionDir} {
		if err := os.MkdirAll(filepath.Join(a.dir, name), folderMode); err != nil {
			return err
		}
	}
	s := a.engine.Session
	s.Bucket, s.Prefix, s.Usage = a.engine.bucket, "", nil
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	for _, name := range sessions {
		if err := os.WriteFile(filepath.Join(a.dir, sessionDir, name), b, fileMode); err != nil {
			return err
		}
	}
	if e := a.engine; e.Code != "" && e.Containers == "" && !a.facts.Complete {
		linked, err := copyCode(e.Code, filepath.Join(a.dir, workDir), e.Dir, filepath.Dir(e.Dir))
		if err != nil {
			return err
		}
		e.noteLinked(linked)
	}
	return a.keep()
}

// keep writes the facts down.
func (a *attempt) keep() error {
	b, err := json.Marshal(a.facts)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(a.dir, factsFile), b)
}

// turn changes the facts, and has the run looked at.
func (a *attempt) turn(change func(*facts)) {
	a.mu.Lock()
	change(&a.facts)
	err := a.keep()
	close(a.changed)
	a.changed = make(chan struct{})
	a.mu.Unlock()
	if err != nil {
		a.engine.Logger.Warn("an attempt's state is not kept", "attempt", a.name, "error", err)
	}
	a.engine.wake(a.facts.Run)
}

func (a *attempt) enter(phase run.Phase) {
	a.turn(func(f *facts) { f.Phase, f.Since = phase, a.engine.now() })
}

// seen is the attempt in run's words.
func (a *attempt) seen() run.Attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	x := run.Attempt{Phase: a.facts.Phase, Since: a.facts.Since}
	if a.facts.End != nil {
		x = *a.facts.End
	}
	x.Made, x.Complete = a.facts.Made, a.facts.Complete
	switch x.Phase {
	case run.Unplaced:
		x.Reason, x.Message = reasonNoRoom, a.facts.Wait
	case run.Fetching:
		x.Part = run.Fetch
	case run.Working:
		x.Part = run.Function
	case run.Publishing:
		x.Part = run.Publish
	}
	return x
}

// stop ends an attempt that goes on.
func (a *attempt) stop(why string) { a.cancel(errStopped(why)) }

func (a *attempt) ended() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.facts.Phase == run.Ended
}
