package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/run"
)

// going are the attempts of a run that go on and that nobody has stopped.
func (e *Engine) going(r *runtimev1.PipelineRun) []string {
	var names []string
	for _, a := range e.attemptsOf(r.Name) {
		if !a.ended() && a.ctx.Err() == nil {
			names = append(names, a.name)
		}
	}
	return names
}

func (e *Engine) attemptsOf(name string) []*attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []*attempt
	for _, a := range e.attempts {
		if a.facts.Run == name {
			all = append(all, a)
		}
	}
	return all
}

// removeAttempts keeps the logs of attempts whose end is in their run's status, and removes what
// those have left that ended well. What failed stays for a while, to be looked at.
func (e *Engine) removeAttempts(r *runtimev1.PipelineRun) {
	for _, a := range e.attemptsOf(r.Name) {
		known := !slices.ContainsFunc(r.Status.Stages, func(st runtimev1.StageStatus) bool {
			return st.Job == a.name && st.State == runtimev1.Running
		})
		if a.ended() && known {
			a.finish()
		}
	}
}

// finish keeps the log, in a goroutine of its own: no run waits for that.
func (a *attempt) finish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.saved {
		return
	}
	a.saved = true
	e := a.engine
	e.all.Go(func() {
		err := a.saveLog()
		e.asked(err)
		if err != nil && e.goesOn() {
			e.Logger.Info("the log of a stage is not kept yet", "attempt", a.name, "error", err)
			a.mu.Lock()
			a.saved = false
			a.mu.Unlock()
			time.AfterFunc(waitAgain, func() { e.wake(a.facts.Run) })
			return
		}
		if end := a.seen(); end.Part == run.Publish && end.ExitCode == 0 && err == nil {
			e.removeAttempt(a)
		}
	})
}

func (e *Engine) goesOn() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ctx != nil && e.ctx.Err() == nil
}

func (e *Engine) removeAttempt(a *attempt) {
	e.mu.Lock()
	delete(e.attempts, a.name)
	e.mu.Unlock()
	if err := removeTree(a.dir); err != nil {
		e.Logger.Warn("the folder of an attempt stays", "attempt", a.name, "error", err)
	}
}

// removeTree removes a folder, also where a process has taken the rights to it away.
func removeTree(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			return os.Chmod(path, folderMode)
		}
		return nil // of others the removal says it
	})
	return errors.Join(err, os.RemoveAll(dir))
}

// removeOld removes what failed before a time, and tries again to keep logs that could not be.
func (e *Engine) removeOld(before time.Time) {
	e.mu.Lock()
	var all []*attempt
	for _, a := range e.attempts {
		all = append(all, a)
	}
	e.mu.Unlock()
	for _, a := range all {
		r, err := e.store.get(a.facts.Run)
		end := a.seen()
		switch {
		case end.Phase != run.Ended:
		case err != nil || end.Since.Before(before) && a.isSaved():
			e.removeAttempt(a)
		default:
			e.removeAttempts(r)
		}
	}
}

func (a *attempt) isSaved() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.saved
}

// endAttempts ends every process.
func (e *Engine) endAttempts() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.attempts {
		a.cancel(nil)
	}
}

// giveUpOthers ends runs that were under way when the module had another name. Their buckets are called
// otherwise now, and so nothing of them could go on.
func (e *Engine) giveUpOthers() {
	var others []*runtimev1.PipelineRun
	e.store.look(func(r *runtimev1.PipelineRun) {
		if r.Namespace != e.namespace && !r.Status.State.Done() {
			others = append(others, r.DeepCopy())
		}
	})
	for _, r := range others {
		r.Status = run.GiveUp(r, fmt.Sprintf("the module is called %s now, and was %s when the run began: start it again",
			e.namespace, r.Namespace), e.now())
		if err := e.store.writeStatus(r); err != nil {
			e.Logger.Warn("a run of the module's former name stays as it was", "run", r.Name, "error", err)
			continue
		}
		e.tell(Happening{Kind: KindRun, Pipeline: r.Spec.Pipeline, Run: r.Name, User: r.Spec.User,
			State: r.Status.State, Text: r.Status.Message})
	}
}
