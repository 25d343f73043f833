package run_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/run"
)

// stepCancelled steps a run that is cancelled while its attempt is seen like this, and of whose commit
// storage says that.
func stepCancelled(r *runtimev1.PipelineRun, p run.Phase, c run.Commit, after time.Duration) []run.Action {
	r.Spec.Cancel = true
	seen := run.Seen{
		Settings: run.Settings{Patience: time.Hour},
		Attempts: map[string]run.Attempt{"s-1": {Phase: p, Since: epoch}},
		Fences:   map[string]run.Commit{"s": c},
	}
	var actions []run.Action
	r.Status, actions = run.Step(r, seen, epoch.Add(after))
	return actions
}

func stops(actions []run.Action) bool {
	return slices.Contains(actions, run.Action(run.StopAttempt{Name: "s-1"}))
}

// While storage does not say whether a stage has a commit, its user's container is stopped at once,
// its publish is not, and the end waits, as long as patience allows.
func TestTheEndWaitsForStorage(t *testing.T) {
	t.Parallel()
	for phase, stopped := range map[run.Phase]bool{
		run.Made: true, run.Fetching: true, run.Working: true, run.Publishing: false,
	} {
		r := running(0, 1)
		if actions := stepCancelled(r, phase, run.Unknown, time.Second); stops(actions) != stopped {
			t.Errorf("phase %d: %+v", phase, actions)
		}
		if r.Status.State != runtimev1.Running || !strings.HasPrefix(r.Status.Message,
			"it is being cancelled; stage s waits since 2026-03-01T12:00:01Z") {
			t.Errorf("phase %d: %s %q", phase, r.Status.State, r.Status.Message)
		}
		later := r.DeepCopy()
		stepCancelled(later, phase, run.NoCommit, time.Minute)
		if later.Status.State != runtimev1.Cancelled || later.Status.Message != "cancelled by its user" {
			t.Errorf("phase %d: %s %q", phase, later.Status.State, later.Status.Message)
		}
		stepCancelled(r, phase, run.Unknown, 62*time.Minute)
		if r.Status.State != runtimev1.Cancelled || !strings.Contains(r.Status.Message, "may become visible yet") {
			t.Errorf("phase %d, after patience: %s %q", phase, r.Status.State, r.Status.Message)
		}
	}
}

// What has a commit goes on, and what comes after it does not start.
func TestACommitOutlivesACancellation(t *testing.T) {
	t.Parallel()
	r := running(0, 1)
	r.Status.Stages = append(r.Status.Stages, runtimev1.StageStatus{Name: "next", State: runtimev1.Pending,
		Needs: []string{"s"}})
	if actions := stepCancelled(r, run.Publishing, run.Committed, time.Second); stops(actions) ||
		r.Status.Message != "it is being cancelled; the outputs of stage s are committed, and are being completed" {
		t.Errorf("%q: %+v", r.Status.Message, actions)
	}
	seen := run.Seen{Attempts: map[string]run.Attempt{"s-1": {Phase: run.Ended, Part: run.Publish, Files: 1}}}
	var actions []run.Action
	r.Status, actions = run.Step(r, seen, epoch.Add(time.Minute))
	if r.Status.State != runtimev1.Cancelled || r.Status.Stages[0].State != runtimev1.Succeeded ||
		r.Status.Stages[1].State != runtimev1.Skipped || len(starts(actions)) > 0 {
		t.Errorf("%+v: %+v", r.Status, actions)
	}
}

// Nothing is closed but at an end that is stored: neither a stage that is tried again, nor what runs
// beside one whose failure nobody has written down yet.
func TestOnlyAStoredEndCloses(t *testing.T) {
	t.Parallel()
	wants := func(r *runtimev1.PipelineRun, seen run.Seen) []string {
		seen.Commits = map[string]run.Commit{"s": run.NoCommit}
		all := run.WantsFences(r, seen, epoch.Add(time.Second))
		seen.AttemptName = func(string, int) string { return "x" }
		r.Status, _ = run.Step(r, seen, epoch.Add(time.Second))
		return all
	}
	failed := run.Seen{Settings: run.Settings{Patience: time.Hour}, Attempts: map[string]run.Attempt{"s-1": exit1,
		"t-1": atWork}}
	beside := func(retries int32) *runtimev1.PipelineRun {
		r := running(retries, 1)
		r.Status.Stages = append(r.Status.Stages, runtimev1.StageStatus{Name: "t", State: runtimev1.Running, Attempt: 1,
			Job: "t-1", StartTime: &metav1.MicroTime{Time: epoch}, Spec: runtimev1.Stage{TimeoutSeconds: 600}})
		return r
	}
	r := beside(1)
	for range 2 {
		if len(wants(r, failed)) > 0 {
			t.Errorf("a stage that is tried again is closed: %+v", r.Status.Stages)
		}
	}
	r = beside(0)
	for i, want := range []string{"", "s", "t"} {
		if got := strings.Join(wants(r, failed), ","); got != want {
			t.Errorf("step %d: %q is closed, want %q", i+1, got, want)
		}
		if want == "s" {
			failed.Fences = map[string]run.Commit{"s": run.NoCommit}
			wants(r, failed)
			failed.Fences = nil
		}
	}
}

// Storage is asked of the commits that the next step wants to know of, and then to close what is to
// end; once it has not answered it is asked nothing more.
func TestStorageIsAskedWhileItAnswers(t *testing.T) {
	t.Parallel()
	two := func() *runtimev1.PipelineRun {
		r := running(0, 1)
		r.Status.Stages = append(r.Status.Stages, runtimev1.StageStatus{Name: "t", State: runtimev1.Running, Attempt: 1,
			Job: "t-1", StartTime: &metav1.MicroTime{Time: epoch}, Spec: runtimev1.Stage{TimeoutSeconds: 600}})
		return r
	}
	cancelled := two()
	cancelled.Spec.Cancel = true
	for name, c := range map[string]struct {
		run    *runtimev1.PipelineRun
		says   run.Commit
		asked  string
		states string
	}{
		"failed":                {two(), run.NoCommit, "commit s,commit t", "s1 t1"},
		"failed, no answer":     {two(), run.Unknown, "commit s", "s0 t0"},
		"cancelled":             {cancelled, run.NoCommit, "fence s,fence t", "s1 t1"},
		"cancelled, no answer":  {cancelled, run.Unknown, "fence s", "s0 t0"},
		"cancelled, has commit": {cancelled, run.Committed, "fence s,fence t", "s2 t2"},
	} {
		seen := run.Seen{Settings: run.Settings{Patience: time.Hour}, Attempts: map[string]run.Attempt{"s-1": exit1,
			"t-1": exit1}}
		seen.AttemptName = func(string, int) string { return "x" }
		var asked []string
		ask := func(what string) func(string) run.Commit {
			return func(stage string) run.Commit {
				asked = append(asked, what+" "+stage)
				return c.says
			}
		}
		seen.AskStorage(c.run, epoch.Add(time.Second), ask("commit"), ask("fence"))
		if got := strings.Join(asked, ","); got != c.asked {
			t.Errorf("%s: it is asked %s, want %s", name, got, c.asked)
		}
		known := seen.Commits
		if c.run.Spec.Cancel {
			known = seen.Fences
		}
		if got := fmt.Sprintf("s%d t%d", known["s"], known["t"]); got != c.states || len(known) != 2 {
			t.Errorf("%s: %s, want %s", name, got, c.states)
		}
	}
}
