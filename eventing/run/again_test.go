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

// running is a run whose one stage has an attempt under way.
func running(retries int32, attempt int) *runtimev1.PipelineRun {
	r := &runtimev1.PipelineRun{}
	r.Status.State = runtimev1.Running
	r.Status.Stages = []runtimev1.StageStatus{{
		Name: "s", State: runtimev1.Running, Attempt: attempt, Job: fmt.Sprint("s-", attempt),
		StartTime: &metav1.MicroTime{Time: epoch},
		Spec:      runtimev1.Stage{Retries: retries, TimeoutSeconds: 600},
	}}
	return r
}

// take steps a run whose attempt is seen like this, and whose commit is known like that. It gives
// the stage and what has to be done.
func take(r *runtimev1.PipelineRun, a run.Attempt, c run.Commit, after time.Duration) (
	*runtimev1.StageStatus, []run.Action,
) {
	seen := run.Seen{
		Settings: run.Settings{
			Grace: time.Minute, ImagePull: time.Minute, Patience: time.Hour,
			AttemptName: func(stage string, n int) string { return fmt.Sprint(stage, "-", n) },
		},
		Attempts: map[string]run.Attempt{r.Status.Stages[0].Job: a},
		Commits:  map[string]run.Commit{"s": c},
	}
	s, actions := run.Step(r, seen, epoch.Add(after))
	if r.Status = s; s.Stages[0].State == runtimev1.Pending && s.Stages[0].DueTime == nil { // it is to end
		if all := run.WantsFences(r, seen, epoch.Add(after)); slices.Equal(all, []string{"s"}) {
			seen.Fences = seen.Commits
		}
		s, actions = run.Step(r, seen, epoch.Add(after))
		r.Status = s
	}
	return &s.Stages[0], actions
}

var (
	exit1   = run.Attempt{Phase: run.Ended, Part: run.Function, ExitCode: 1}
	evicted = run.Attempt{Phase: run.Ended, Part: run.Function, ExitCode: 143, Disrupted: true, Message: "a drain"}
	killed  = run.Attempt{Phase: run.Ended, Part: run.Publish, ExitCode: 137}
	noS3    = run.Attempt{Phase: run.Ended, Part: run.Publish, ExitCode: 3, Retry: true, Message: "no answer"}
	atWork  = run.Attempt{Phase: run.Working, Part: run.Function, Since: epoch}
)

func starts(actions []run.Action) []run.StartAttempt {
	var all []run.StartAttempt
	for _, a := range actions {
		if x, ok := a.(run.StartAttempt); ok {
			all = append(all, x)
		}
	}
	return all
}

// Whatever an attempt of a stage with a commit ended with, the next one completes, and takes none
// of the stage's retries.
func TestACommitOutweighsEachFailure(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]run.Attempt{
		"publish was killed": killed, "exit code 1": exit1, "evicted": evicted, "its Job has gone": {},
		"lost with its node":  {Phase: run.Working, Part: run.Function, Since: epoch, LostAt: epoch},
		"longer than it may":  {Phase: run.Working, Part: run.Function, Since: epoch.Add(-time.Hour)},
		"over its own limits": {Phase: run.Ended, Part: run.Pod, Cause: run.Evicted, Message: "exceeds the limit"},
	} {
		r := running(0, 1)
		st, _ := take(r, a, run.Committed, time.Second)
		if st.State != runtimev1.Pending || st.Failures != 0 {
			t.Errorf("%s: %s after %d failures: %s", name, st.State, st.Failures, r.Status.Message)
			continue
		}
		st, actions := take(r, run.Attempt{}, run.Committed, time.Minute)
		all := starts(actions)
		if len(all) != 1 || !all[0].Complete || all[0].Number != 2 || st.RanAttempt != 1 {
			t.Errorf("%s: %+v, %+v", name, all, st)
		}
	}
}

// A commit may come while nobody looks: it is looked for again when the next attempt is due, and as
// long as that was not seen.
func TestACommitThatComesLate(t *testing.T) {
	t.Parallel()
	r := running(1, 1)
	take(r, exit1, run.NoCommit, time.Second)
	_, actions := take(r, run.Attempt{}, run.NoCommit, time.Minute)
	if all := starts(actions); len(all) != 1 || all[0].Complete {
		t.Fatalf("%+v", all)
	}
	// It was not made: whoever was to make it has seen the commit.
	st, actions := take(r, run.Attempt{}, run.Committed, 2*time.Minute)
	if all := starts(actions); len(all) != 1 || !all[0].Complete || all[0].Number != 2 || st.RanAttempt != 1 {
		t.Errorf("%+v", all)
	}
}

// While storage does not say whether there is a commit, nothing is decided, and what is waited for
// is told. Patience ends that.
func TestACommitThatNobodyKnowsOf(t *testing.T) {
	t.Parallel()
	r := running(0, 1)
	for _, after := range []time.Duration{time.Second, time.Minute, 59 * time.Minute} {
		st, actions := take(r, exit1, run.Unknown, after)
		if st.State != runtimev1.Pending || len(starts(actions)) > 0 {
			t.Fatalf("after %s: %s %s", after, st.State, st.Message)
		}
		if m := r.Status.Message; !strings.Contains(m, "stage s waits since 2026-03-01T12:00:01Z") ||
			!strings.Contains(m, "storage does not say") {
			t.Errorf("after %s: %q", after, m)
		}
		again := slices.ContainsFunc(actions, func(a run.Action) bool {
			x, ok := a.(run.Look)
			return ok && x.At.Sub(epoch.Add(after)) <= 30*time.Second
		})
		if !again {
			t.Errorf("after %s nobody looks again: %+v", after, actions)
		}
	}
	known := r.DeepCopy()
	if st, _ := take(known, exit1, run.NoCommit, time.Hour); st.State != runtimev1.Failed ||
		st.Reason != run.ReasonError {
		t.Errorf("known at last: %+v", st)
	}
	if st, _ := take(r, exit1, run.Unknown, 62*time.Minute); st.State != runtimev1.Failed {
		t.Errorf("after an hour: %+v", st)
	}
}

// Failures of ours spend no retry, however many they are; own ones spend theirs.
func TestTwoCounters(t *testing.T) {
	t.Parallel()
	r := running(1, 1)
	now := time.Duration(0)
	next := func(a run.Attempt) *runtimev1.StageStatus {
		now += time.Minute
		take(r, a, run.NoCommit, now)
		now += time.Minute
		st, actions := take(r, run.Attempt{}, run.NoCommit, now)
		if len(starts(actions)) == 1 {
			now += time.Second
			working := atWork
			working.Since, working.Made = epoch.Add(now), epoch.Add(now)
			st, _ = take(r, working, run.NoCommit, now)
		}
		return st
	}
	for i := range 10 {
		if st := next([]run.Attempt{evicted, noS3, {}}[i%3]); st.State != runtimev1.Running || st.Failures != 0 {
			t.Fatalf("after %d failures of ours: %+v", i+1, st)
		}
	}
	if st := next(exit1); st.State != runtimev1.Running || st.Failures != 1 {
		t.Fatalf("after the first of its own: %+v", st)
	}
	if st := next(evicted); st.State != runtimev1.Running || st.Failures != 1 {
		t.Fatalf("%+v", st)
	}
	st := next(exit1)
	if st.State != runtimev1.Failed || st.Failures != 2 || st.Reason != run.ReasonError {
		t.Errorf("after the second of its own: %+v", st)
	}
	if st.WaitedSeconds < 11*60 || st.WaitedSeconds > 12*62 || st.WaitingSince != nil {
		t.Errorf("it has waited %d s", st.WaitedSeconds)
	}
}

// What is ours is waited for as long as patience allows, in all.
func TestPatience(t *testing.T) {
	t.Parallel()
	r := running(5, 1)
	st, _ := take(r, noS3, run.NoCommit, time.Minute)
	if st.State != runtimev1.Pending || !st.WaitingSince.Equal(&metav1.MicroTime{Time: epoch.Add(time.Minute)}) {
		t.Fatalf("%+v", st)
	}
	if m := r.Status.Message; !strings.Contains(m, "since 2026-03-01T12:01:00Z") || !strings.Contains(m, "no answer") {
		t.Errorf("message %q", m)
	}
	if due := st.DueTime.Sub(epoch.Add(time.Minute)); due > 30*time.Second {
		t.Errorf("the next attempt follows after %s", due)
	}
	took := 40 * time.Minute // until the user's container runs
	take(r, run.Attempt{}, run.NoCommit, 2*time.Minute)
	working := atWork
	working.Since, working.Made = epoch.Add(took), epoch.Add(2*time.Minute)
	if st, _ = take(r, working, run.NoCommit, took); st.WaitingSince != nil || st.WaitedSeconds != 39*60 {
		t.Fatalf("%+v", st)
	}
	if r.Status.Message != "" {
		t.Errorf("it waits for nothing, and says %q", r.Status.Message)
	}
	take(r, noS3, run.NoCommit, 45*time.Minute)
	if st, _ = take(r, run.Attempt{}, run.NoCommit, 60*time.Minute); st.State != runtimev1.Running {
		t.Fatalf("after 54 minutes: %+v", st)
	}
	if st, _ = take(r, run.Attempt{}, run.NoCommit, 67*time.Minute); st.State != runtimev1.Failed ||
		!strings.Contains(r.Status.Message, "runs.patienceMinutes") {
		t.Errorf("after 61 minutes: %+v", st)
	}
}

// A run of an earlier release, whose stage counts attempts only, goes on.
func TestRunsOfBeforeGoOn(t *testing.T) {
	t.Parallel()
	r := running(1, 4)
	if st, _ := take(r, noS3, run.NoCommit, time.Second); st.State != runtimev1.Pending {
		t.Errorf("%+v", st)
	}
	r = running(1, 4)
	r.Status.Stages[0].State, r.Status.Stages[0].DueTime = runtimev1.Pending, &metav1.MicroTime{Time: epoch}
	if _, actions := take(r, run.Attempt{}, run.NoCommit, time.Second); len(starts(actions)) != 1 {
		t.Errorf("%+v", actions)
	}
}

// What waits for storage says so, if it is known.
func TestTransfersSayWhatTheyWaitFor(t *testing.T) {
	t.Parallel()
	for _, phase := range []run.Phase{run.Fetching, run.Publishing} {
		r := running(0, 1)
		seen := run.Seen{
			Attempts:    map[string]run.Attempt{"s-1": {Phase: phase, Since: epoch}},
			StorageAway: epoch.Add(time.Minute),
		}
		s, _ := run.Step(r, seen, epoch.Add(2*time.Minute))
		if st := s.Stages[0]; st.Reason != run.ReasonStorageError || !strings.Contains(st.Message, "12:01:00Z") ||
			!strings.Contains(s.Message, "12:01:00Z") || st.WaitingSince != nil {
			t.Errorf("%+v: %s", st, s.Message)
		}
		r.Status, seen.StorageAway = s, time.Time{}
		if s, _ = run.Step(r, seen, epoch.Add(3*time.Minute)); s.Message != "" || s.Stages[0].Reason != "" {
			t.Errorf("storage is back: %q, %+v", s.Message, s.Stages[0])
		}
	}
}

// A stage that has left somebody's files in the places of its copies has succeeded, and says so.
func TestKeptFilesAreTold(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{
		0: "", 1: "1 copy was not made: a file that came after the commit is in its place, and stays",
		7: "7 copies were not made: files that came after the commit are in their places, and stay",
	} {
		st, _ := take(running(0, 1), run.Attempt{Phase: run.Ended, Part: run.Publish, Since: epoch, Files: 9, Kept: n},
			run.Committed, time.Second)
		if st.State != runtimev1.Succeeded || st.Message != want || st.Reason != "" || st.Files != 9 {
			t.Errorf("%d: %+v", n, st)
		}
	}
}

// A stage whose copies can never be made fails at once, although it has a commit: a box has gone.
func TestCompletingInVain(t *testing.T) {
	t.Parallel()
	r := running(3, 2)
	r.Status.Stages[0].RanAttempt = 1
	st, _ := take(r, run.Attempt{
		Phase: run.Ended, Part: run.Publish, Complete: true, ExitCode: 1, Message: "there is no such bucket",
	}, run.Committed, time.Second)
	if st.State != runtimev1.Failed || !strings.Contains(st.Message, "no such bucket") {
		t.Errorf("%+v", st)
	}
}

// Storage is asked nothing as long as nothing fails.
func TestTheQuietPathAsksForNoCommit(t *testing.T) {
	t.Parallel()
	for _, a := range []run.Attempt{
		{Phase: run.Made}, {Phase: run.Fetching}, atWork, {Phase: run.Publishing},
		{Phase: run.Ended, Part: run.Publish},
	} {
		seen := run.Seen{Attempts: map[string]run.Attempt{"s-1": a}}
		if all := run.WantsCommits(running(1, 1), seen, epoch.Add(time.Second)); len(all) > 0 {
			t.Errorf("%+v: %v", a, all)
		}
	}
	if all := run.WantsCommits(running(0, 1), run.Seen{Attempts: map[string]run.Attempt{"s-1": exit1}},
		epoch.Add(time.Second)); !slices.Equal(all, []string{"s"}) {
		t.Errorf("after a failure: %v", all)
	}
}

// A run that ends while storage is away is recorded when it is back.
func TestTheRecordWaitsForStorage(t *testing.T) {
	t.Parallel()
	for after, last := range map[time.Duration]bool{11 * time.Minute: false, 61 * time.Minute: true} {
		r := running(0, 1)
		r.Status.State, r.Status.CompletionTime = runtimev1.Cancelled, &metav1.Time{Time: epoch}
		_, actions := run.Step(r, run.Seen{Settings: run.Settings{Patience: time.Hour}}, epoch.Add(after))
		if !slices.Contains(actions, run.Action(run.Record{Last: last})) {
			t.Errorf("after %s: %+v", after, actions)
		}
	}
}

// What a transfer has waited for storage counts as the stage's waiting: the next attempt's transfers
// have what is left of it, and each has a little.
func TestPatienceIsTheStages(t *testing.T) {
	t.Parallel()
	inVain := func(d time.Duration) run.Attempt {
		return run.Attempt{Phase: run.Ended, Part: run.Fetch, ExitCode: 3, Retry: true, Message: "no answer", Waited: d}
	}
	for _, c := range []struct {
		before, waited, want time.Duration
	}{
		{0, 0, time.Hour - time.Minute}, // between the two
		{0, 20 * time.Minute, 39 * time.Minute},
		{30 * time.Minute, 20 * time.Minute, 9 * time.Minute},
		{30 * time.Minute, 28*time.Minute + 30*time.Second, time.Minute}, // a little
	} {
		r := running(0, 1)
		r.Status.Stages[0].WaitedSeconds = int64(c.before / time.Second)
		take(r, inVain(c.waited), run.NoCommit, time.Hour)
		_, actions := take(r, run.Attempt{}, run.NoCommit, time.Hour+time.Minute)
		if all := starts(actions); len(all) != 1 || all[0].Patience != c.want {
			t.Errorf("after %s, and %s in an attempt: %+v, want %s", c.before, c.waited, all, c.want)
		}
	}
	// An attempt that has waited for all that there is was the last.
	r := running(0, 1)
	if st, _ := take(r, inVain(time.Hour), run.NoCommit, time.Hour); st.State != runtimev1.Failed ||
		st.Reason != run.ReasonStorageError || !strings.Contains(st.Message, "it has waited for 1h0m0s") {
		t.Errorf("%+v", st)
	}
}

// A publish that dies each time is not the stage's doing, and does not have its container run again
// for ever. The end names what died.
func TestAPublishThatAlwaysDies(t *testing.T) {
	t.Parallel()
	r := running(0, 1)
	died := run.Attempt{Phase: run.Ended, Part: run.Publish, ExitCode: 137, Reason: "OOMKilled"}
	now := time.Second
	for n := 1; ; n++ {
		st, _ := take(r, died, run.NoCommit, now)
		if st.State == runtimev1.Failed {
			if n != 6 || st.Failures != 0 || st.Reason != run.ReasonTransferDied ||
				!strings.Contains(r.Status.Message, "publish died with exit code 137 (OOMKilled); its container has run 6 times") {
				t.Errorf("after %d: %+v: %s", n, st, r.Status.Message)
			}
			return
		}
		if n > 6 {
			t.Fatal("it goes on for ever")
		}
		now += time.Minute
		take(r, run.Attempt{}, run.NoCommit, now)
		now += time.Second
		working := atWork
		working.Made, working.Since = epoch.Add(now), epoch.Add(now)
		take(r, working, run.NoCommit, now)
	}
}

// With a commit its death costs nobody's work, and is waited for.
func TestACompletionThatAlwaysDies(t *testing.T) {
	t.Parallel()
	r := running(0, 1)
	r.Status.Stages[0].RanAttempt = 1
	died := killed
	died.Complete = true
	now := time.Second
	for range 20 {
		if st, _ := take(r, died, run.Committed, now); st.State != runtimev1.Pending {
			t.Fatalf("%+v", st)
		}
		now += time.Minute
		take(r, run.Attempt{}, run.Committed, now)
		now += time.Second
	}
}
