package run_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/run"
)

// Admit fills the room that there is, and no more, with the oldest, whatever order it is told them
// in.
func TestAdmit(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		var all []run.Candidate
		var begun, ready int
		for i := range r.IntN(12) {
			c := run.Candidate{Name: fmt.Sprint("r", i), Created: epoch.Add(time.Duration(r.IntN(4)) * time.Second),
				Standing: run.Standing(r.IntN(4))}
			if all = append(all, c); c.Standing == run.Begun {
				begun++
			} else if c.Standing == run.Ready {
				ready++
			}
		}
		limit := r.Int32N(6)
		got := run.Admit(all, limit)
		want := ready
		if limit > 0 {
			want = min(ready, max(int(limit)-begun, 0))
		}
		if len(got) != want {
			t.Fatalf("seed %d: limit %d, %d under way, %d ready: %v", seed, limit, begun, ready, got)
		}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if again := run.Admit(all, limit); !slices.Equal(got, again) {
			t.Fatalf("seed %d: %v, and in another order %v", seed, got, again)
		}
		for _, c := range all {
			for _, name := range got {
				x := all[slices.IndexFunc(all, func(c run.Candidate) bool { return c.Name == name })]
				before := c.Created.Before(x.Created) || c.Created.Equal(x.Created) && c.Name < x.Name
				if c.Standing == run.Ready && before && !slices.Contains(got, c.Name) {
					t.Fatalf("seed %d: %s goes before %s: %v", seed, name, c.Name, got)
				}
			}
		}
	}
}

// What is stored of a run says how it stands.
func TestCandidateOf(t *testing.T) {
	stage := runtimev1.StageStatus{Name: "a", State: runtimev1.Pending}
	begun := stage
	begun.Attempt = 1
	now := metav1.Now()
	waits := []metav1.Condition{{Type: run.ConditionAdmitted, Status: metav1.ConditionFalse}}
	for what, x := range map[string]struct {
		run   runtimev1.PipelineRun
		want  run.Standing
		waits bool
	}{
		"new":     {of(runtimev1.PipelineRunStatus{}), run.Unready, false},
		"planned": {of(runtimev1.PipelineRunStatus{Stages: []runtimev1.StageStatus{stage}}), run.Ready, false},
		"waits": {of(runtimev1.PipelineRunStatus{Stages: []runtimev1.StageStatus{stage}, Conditions: waits}),
			run.Ready, true},
		"begun":     {of(runtimev1.PipelineRunStatus{Stages: []runtimev1.StageStatus{begun}}), run.Begun, false},
		"over":      {of(runtimev1.PipelineRunStatus{State: runtimev1.Failed, Conditions: waits}), run.Over, false},
		"cancelled": {cancelled(stage, waits), run.Unready, false},
		"deleted": {deleted(runtimev1.PipelineRunStatus{Stages: []runtimev1.StageStatus{stage}, Conditions: waits},
			&now), run.Unready, false},
		"deleted under way": {deleted(runtimev1.PipelineRunStatus{Stages: []runtimev1.StageStatus{begun}}, &now),
			run.Begun, false},
	} {
		if c := run.CandidateOf(&x.run); c.Standing != x.want || c.Waits != x.waits || run.Waits(&x.run) != x.waits {
			t.Errorf("%s: %+v", what, c)
		}
	}
}

func of(s runtimev1.PipelineRunStatus) runtimev1.PipelineRun { return runtimev1.PipelineRun{Status: s} }

func cancelled(stage runtimev1.StageStatus, c []metav1.Condition) runtimev1.PipelineRun {
	r := of(runtimev1.PipelineRunStatus{Stages: []runtimev1.StageStatus{stage}, Conditions: c})
	r.Spec.Cancel = true
	return r
}

func deleted(s runtimev1.PipelineRunStatus, at *metav1.Time) runtimev1.PipelineRun {
	r := of(s)
	r.DeletionTimestamp = at
	return r
}

// admission is run.Admission, or one with a mistake in it.
type admission interface {
	Limit(n int32)
	Stored(c run.Candidate)
	Gone(name string)
	Ask(c run.Candidate) bool
	Wrote(c run.Candidate)
	Failed(c run.Candidate)
	Unsure(c run.Candidate)
	Call() []string
}

// TestAdmissionSimulation lives the runs of one pipeline with one leader after the other. What must
// hold is looked at whenever a run begins, and at the end.
func TestAdmissionSimulation(t *testing.T) {
	n := *seeds / 2
	if testing.Short() {
		n /= 10
	}
	plain := func() admission { return &run.Admission{} }
	if *oneSeed != 0 {
		if h := newHall(*oneSeed, plain, t.Logf); h.live() != nil {
			t.Error(strings.Join(h.wrong, "\n"))
		}
		return
	}
	for seed := range n {
		if wrong := newHall(seed+1, plain, nil).live(); wrong != nil {
			t.Fatalf("go test ./eventing/run -run TestAdmissionSimulation -v -seed=%d\n%s", seed+1,
				strings.Join(wrong, "\n"))
		}
	}
}

// Mistakes that somebody could have made.
type (
	memoryOnly struct{ *run.Admission }
	forgetful  struct{ *run.Admission }
	optimist   struct{ *run.Admission }
	youngest   struct{ *run.Admission }
	careless   struct{ *run.Admission }
	stubborn   struct{ *run.Admission }
	silent     struct{ *run.Admission }
	oneLimit   struct {
		*run.Admission
		set bool
	}
)

func (m memoryOnly) Stored(c run.Candidate) {
	if c.Standing == run.Begun {
		c.Standing = run.Unready
	}
	m.Admission.Stored(c)
}

func (m forgetful) Wrote(c run.Candidate) {
	c.Standing = min(c.Standing, run.Ready)
	m.Admission.Wrote(c)
}

func (m optimist) Unsure(c run.Candidate) { m.Failed(c) }

func (m youngest) Stored(c run.Candidate) {
	c.Created = epoch.Add(-c.Created.Sub(epoch))
	m.Admission.Stored(c)
}

func (m careless) Ask(c run.Candidate) bool {
	may := m.Admission.Ask(c)
	m.Admission.Failed(c) // it is not counted until it is stored
	return may
}

func (m stubborn) Failed(c run.Candidate) {
	m.Admission.Failed(c)
	m.Admission.Ask(c) // it keeps its place
}

func (m silent) Call() []string { return nil }

func (m *oneLimit) Limit(n int32) {
	if !m.set {
		m.set = true
		m.Admission.Limit(n)
	}
}

var mistakesOfAdmission = map[string]func() admission{
	"what is stored does not count":            func() admission { return memoryOnly{&run.Admission{}} },
	"what was written is not remembered":       func() admission { return forgetful{&run.Admission{}} },
	"a write of unknown end is taken for none": func() admission { return optimist{&run.Admission{}} },
	"the youngest first":                       func() admission { return youngest{&run.Admission{}} },
	"who may begin does not count yet":         func() admission { return careless{&run.Admission{}} },
	"who fails keeps its place":                func() admission { return stubborn{&run.Admission{}} },
	"nobody is called":                         func() admission { return silent{&run.Admission{}} },
	"the limit is looked at once":              func() admission { return &oneLimit{Admission: &run.Admission{}} },
}

func TestAdmissionSimulationFindsMistakes(t *testing.T) {
	for name, mistaken := range mistakesOfAdmission {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 2000; seed++ {
				if wrong := newHall(seed, mistaken, nil).live(); wrong != nil {
					t.Logf("seed %d: %s", seed, strings.Join(wrong, "; "))
					return
				}
			}
			t.Fatal("nobody noticed")
		})
	}
}
