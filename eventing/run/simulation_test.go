package run_test

import (
	"flag"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/run"
)

var (
	oneSeed = flag.Uint64("seed", 0, "the one seed that TestSimulation shall run; 0: all")
	seeds   = flag.Uint64("seeds", 10_000, "how many seeds TestSimulation runs")
)

func asItIs(*world) {}

// simulate lives the world of a seed and gives what was wrong in it.
func simulate(seed uint64, step stepper, change func(*world)) *world {
	w := newWorld(seed, step)
	change(w)
	w.live()
	return w
}

// firstWrong runs the seeds from 1 on until something is wrong, and gives the lowest such world it
// has found.
func firstWrong(most uint64, step stepper, change func(*world)) (wrong uint64, found *world) {
	var next atomic.Uint64
	var mu sync.Mutex
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for {
				seed := next.Add(1)
				if seed > most {
					return
				}
				w := simulate(seed, step, change)
				if len(w.wrong) == 0 {
					continue
				}
				mu.Lock()
				if found == nil || seed < wrong {
					wrong, found = seed, w
				}
				mu.Unlock()
				next.Store(most)
				return
			}
		})
	}
	all.Wait()
	return wrong, found
}

// Every run that was accepted ends, whatever happens around it. What else must hold is looked at as
// the world lives: see write, make and judge.
func TestSimulation(t *testing.T) {
	if *oneSeed != 0 {
		w := newWorld(*oneSeed, run.Step)
		w.trace = func(format string, args ...any) { t.Logf(format, args...) }
		if w.live(); len(w.wrong) > 0 {
			t.Errorf("%s", strings.Join(w.wrong, "\n"))
		}
		return
	}
	n := *seeds
	if testing.Short() {
		n /= 10
	}
	began := time.Now()
	if seed, w := firstWrong(n, run.Step, asItIs); w != nil {
		t.Errorf("go test ./eventing/run -run TestSimulation -v -seed=%d\n%s", seed, strings.Join(w.wrong, "\n"))
	}
	stores := func(w *world) { w.stores = true }
	if seed, w := firstWrong(n/10, run.Step, stores); w != nil {
		t.Errorf("with a Broker that stores events, seed %d\n%s", seed, strings.Join(w.wrong, "\n"))
	}
	t.Logf("%d seeds in %s", n+n/10, time.Since(began).Round(time.Millisecond))
}

type (
	object = *runtimev1.PipelineRun
	status = runtimev1.PipelineRunStatus
)

// mistakes are Steps that somebody could have written.
var mistakes = map[string]stepper{
	"an attempt is asked for only once": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		asked := map[string]bool{}
		for _, st := range r.Status.Stages {
			if st.State == runtimev1.Running {
				asked[st.Job] = true
			}
		}
		s, all := run.Step(r, seen, now)
		return s, without(all, func(a run.Action) bool {
			x, ok := a.(run.StartAttempt)
			return ok && asked[x.Name]
		})
	},
	"the attempt before is not stopped": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		s, all := run.Step(r, seen, now)
		return s, without(all, func(a run.Action) bool {
			_, ok := a.(run.StopAttempt)
			return ok && !s.State.Done()
		})
	},
	"cancel is not looked at": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		r = r.DeepCopy()
		r.Spec.Cancel = false
		return run.Step(r, seen, now)
	},
	"what goes on after the end is let go on": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		seen.Going = nil
		return run.Step(r, seen, now)
	},
	"nobody looks again": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		s, all := run.Step(r, seen, now)
		return s, without(all, func(a run.Action) bool {
			_, ok := a.(run.Look)
			return ok
		})
	},
	"own failures are not counted": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		r = r.DeepCopy()
		for i := range r.Status.Stages {
			r.Status.Stages[i].Spec.Retries += 10
		}
		s, all := run.Step(r, seen, now)
		for i := range r.Status.Stages {
			s.Stages[i].Spec.Retries -= 10
		}
		return s, all
	},
	"the function's end is the stage's": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		for name, a := range seen.Attempts {
			if a.Phase == run.Publishing {
				a.Phase, a.Part = run.Ended, run.Publish
				seen.Attempts[name] = a
			}
		}
		return run.Step(r, seen, now)
	},
	"one need is enough": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		r = r.DeepCopy()
		for i := range r.Status.Stages {
			if st := &r.Status.Stages[i]; len(st.Needs) > 1 {
				st.Needs = st.Needs[:1]
			}
		}
		return run.Step(r, seen, now)
	},
	"events are told to nobody": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		s, all := run.Step(r, seen, now)
		return s, without(all, func(a run.Action) bool {
			_, ok := a.(run.Announce)
			return ok
		})
	},
	"a run that has ended begins again": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		r = r.DeepCopy()
		if r.Status.State == runtimev1.Failed && !r.Status.Recorded {
			r.Status.State = runtimev1.Running
		}
		return run.Step(r, seen, now)
	},
	"the record is taken for written": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		seen.Recorded = true
		return run.Step(r, seen, now)
	},
	"no commit is looked at": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		return run.Step(r, withCommits(seen, func(run.Commit) run.Commit { return run.NoCommit }), now)
	},
	"a storage that is silent says no": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		no := func(c run.Commit) run.Commit { return max(c, run.NoCommit) }
		return run.Step(r, withFences(withCommits(seen, no), no), now)
	},
	"a commit does not outweigh a failure": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		no := func(run.Commit) run.Commit { return run.NoCommit }
		if s, all := run.Step(r, withFences(withCommits(seen, no), no), now); s.State == runtimev1.Failed {
			return s, all
		}
		return run.Step(r, seen, now)
	},
	"what is committed is made again": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		s, all := run.Step(r, seen, now)
		for i, a := range all {
			if x, ok := a.(run.StartAttempt); ok {
				x.Complete = false
				all[i] = x
			}
		}
		return s, all
	},
	"three failures of ours are enough": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		s, all := run.Step(r, seen, now)
		for i := range s.Stages {
			st := &s.Stages[i]
			if st.State == runtimev1.Pending && st.Attempt > 3+int(st.Spec.Retries) {
				st.State = runtimev1.Failed
			}
		}
		return s, all
	},
	"one counter for both kinds": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		r = r.DeepCopy()
		for i := range r.Status.Stages {
			st := &r.Status.Stages[i]
			st.Failures = max(st.Failures, st.Attempt-1)
		}
		return run.Step(r, seen, now)
	},
	"a disruption is the stage's own doing": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		return run.Step(r, withAttempts(seen, func(a *run.Attempt) { a.Disrupted = false }), now)
	},
	"an exit is believed at once": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		return run.Step(r, withAttempts(seen, func(a *run.Attempt) { a.SettledAt = time.Time{} }), now)
	},
	"a lost node is waited for": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		return run.Step(r, withAttempts(seen, func(a *run.Attempt) { a.LostAt = time.Time{} }), now)
	},
	"patience has no end": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		seen.Patience = 1000 * time.Hour
		return run.Step(r, seen, now)
	},
	"there is no patience": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		seen.Patience = time.Second
		return run.Step(r, seen, now)
	},
	"the image's time runs from the pod's start": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		return run.Step(r, withAttempts(seen, func(a *run.Attempt) {
			if a.Phase == run.Blocked {
				a.Since = a.Made
			}
		}), now)
	},
	"a committed stage is stopped at a cancellation": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		return run.Step(r, withFences(seen, func(c run.Commit) run.Commit { return min(c, run.NoCommit) }), now)
	},
	"sessions are kept": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		s, all := run.Step(r, seen, now)
		return s, without(all, func(a run.Action) bool {
			_, ok := a.(run.DropSessions)
			return ok
		})
	},
	"a stage's timeout is the pod's affair": func(r object, seen run.Seen, now time.Time) (status, []run.Action) {
		r = r.DeepCopy()
		for i := range r.Status.Stages {
			r.Status.Stages[i].Spec.TimeoutSeconds *= 1000
		}
		s, all := run.Step(r, seen, now)
		for i := range r.Status.Stages {
			s.Stages[i].Spec.TimeoutSeconds /= 1000
		}
		return s, all
	},
}

// fences are those that whoever drives Step could have written.
var fences = map[string]func(w *world, stage string) run.Commit{
	"there is no fence": func(w *world, stage string) run.Commit {
		if w.commits[stage].attempt > 0 {
			return run.Committed
		}
		return run.NoCommit
	},
	"the fence comes after the end": func(w *world, stage string) run.Commit {
		if w.commits[stage].attempt > 0 {
			return run.Committed
		}
		w.after(time.Second, func() { closeCommit(w, stage) })
		return run.NoCommit
	},
	"a fence replaces what is committed": func(w *world, stage string) run.Commit {
		w.commits[stage] = commit{attempt: w.commits[stage].attempt, closed: true, at: w.now}
		return run.NoCommit
	},
}

func withFences(seen run.Seen, change func(run.Commit) run.Commit) run.Seen {
	all := map[string]run.Commit{}
	for stage, c := range seen.Fences {
		all[stage] = change(c)
	}
	seen.Fences = all
	return seen
}

func withCommits(seen run.Seen, change func(run.Commit) run.Commit) run.Seen {
	all := map[string]run.Commit{}
	for stage, c := range seen.Commits {
		all[stage] = change(c)
	}
	seen.Commits = all
	return seen
}

func withAttempts(seen run.Seen, change func(*run.Attempt)) run.Seen {
	all := map[string]run.Attempt{}
	for name, a := range seen.Attempts {
		change(&a)
		all[name] = a
	}
	seen.Attempts = all
	return seen
}

func without(all []run.Action, drop func(run.Action) bool) []run.Action {
	var kept []run.Action
	for _, a := range all {
		if !drop(a) {
			kept = append(kept, a)
		}
	}
	return kept
}

// The simulation is worth something only if it finds mistakes.
func TestSimulationFindsMistakes(t *testing.T) {
	for name, step := range mistakes {
		t.Run(name, func(t *testing.T) {
			seed, w := firstWrong(2000, step, asItIs)
			if w == nil {
				t.Fatal("nobody noticed")
			}
			t.Logf("seed %d: %s", seed, strings.Join(w.wrong, "; "))
		})
	}
	for name, fence := range fences {
		t.Run(name, func(t *testing.T) {
			seed, w := firstWrong(12000, run.Step, func(w *world) { w.fence = fence })
			if w == nil {
				t.Fatal("nobody noticed")
			}
			t.Logf("seed %d: %s", seed, strings.Join(w.wrong, "; "))
		})
	}
}
