package run

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// ConditionAdmitted is False while a run waits until its pipeline's limit of runs lets it begin,
// and True when that has come. A run that never had to wait has no such condition.
const ConditionAdmitted = "Admitted"

// Standing is how far a run has come, as its pipeline's limit counts it.
type Standing int

// The standings, in their order. A run goes forward only; it may be cancelled while it is Ready.
const (
	// Unready: it is not known yet what it shall do, or it is not to begin any more.
	Unready Standing = iota
	// Ready to begin.
	Ready
	// Begun runs are those that the limit counts.
	Begun
	// Over: it has ended.
	Over
)

// Candidate is what admission looks at of a run.
type Candidate struct {
	Name     string
	UID      types.UID
	Created  time.Time
	Standing Standing
	// Waits: it does nothing until it is called.
	Waits bool
}

// CandidateOf is the run as it is stored.
func CandidateOf(r *runtimev1.PipelineRun) Candidate {
	c := Candidate{Name: r.Name, UID: r.UID, Created: r.CreationTimestamp.Time}
	switch s := &r.Status; {
	case s.State.Done():
		c.Standing = Over
	case UnderWay(s):
		c.Standing = Begun // also while it is deleted: what it has started goes on until it has gone
	case len(s.Stages) > 0 && !r.Spec.Cancel && r.DeletionTimestamp == nil:
		c.Standing = Ready
		c.Waits = meta.IsStatusConditionFalse(s.Conditions, ConditionAdmitted)
	}
	return c
}

// Waits reports a run that does nothing until its pipeline's limit lets it begin.
func Waits(r *runtimev1.PipelineRun) bool { return CandidateOf(r).Waits }

// Admit says which runs of one pipeline may begin now, those that have begun aside: as many as
// there is room for, the oldest first. A limit of 0 is none.
func Admit(all []Candidate, limit int32) []string {
	room := int(limit)
	var ready []Candidate
	for _, c := range all {
		switch c.Standing {
		case Begun:
			room--
		case Ready:
			ready = append(ready, c)
		}
	}
	slices.SortFunc(ready, func(a, b Candidate) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	if limit > 0 {
		ready = ready[:min(len(ready), max(room, 0))]
	}
	names := make([]string, 0, len(ready))
	for _, c := range ready {
		names = append(names, c.Name)
	}
	return names
}

// Admission decides for one pipeline which runs may begin, by what is stored of them. A watch may
// be late; so it is joined with what this process has stored itself, and with what it has allowed
// and does not know the end of yet. The zero Admission has no limit. It is not for several
// goroutines at once.
//
// A run that wants to begin asks, and says afterwards what came of it (Wrote, Failed or Unsure).
// One that must wait is called when its time has come. So nobody need ask twice.
type Admission struct {
	limit int32
	runs  map[string]*applicant
	begun int // runs that the limit counts
	idle  int // runs that wait and have not been called
}

type applicant struct {
	Candidate          // as it is stored, as far as the watch knows
	wrote     Standing // what this process has stored; only what is further counts
	asks      bool     // it has asked and has not said yet what came of it
	allowed   bool     // it may have begun
	failed    bool     // it could not begin when it might have, and has not asked again
	called    bool
}

func (x *applicant) standing() Standing {
	s := max(x.Standing, x.wrote)
	switch {
	case s == Over:
	case x.allowed:
		return Begun
	case s <= Ready && x.asks:
		return Ready
	case s == Ready && x.failed:
		return Unready
	}
	return s
}

func (x *applicant) idle() bool { return x.Waits && !x.called && x.standing() == Ready }

// change changes a run and keeps count.
func (a *Admission) change(x *applicant, how func()) {
	count := func(n int) {
		if x.standing() == Begun {
			a.begun += n
		}
		if x.idle() {
			a.idle += n
		}
	}
	count(-1)
	how()
	count(1)
}

// Limit sets how many runs may be under way at once; 0 is no limit.
func (a *Admission) Limit(n int32) { a.limit = n }

// Stored is told by the watch what is stored of a run.
func (a *Admission) Stored(c Candidate) {
	x := a.runs[c.Name]
	if x != nil && x.UID != c.UID { // another one of the same name
		a.Gone(c.Name)
		x = nil
	}
	if c.Standing == Over {
		a.Gone(c.Name)
		return
	}
	if x == nil {
		if a.runs == nil {
			a.runs = map[string]*applicant{}
		}
		x = &applicant{}
		a.runs[c.Name] = x
		x.Candidate = Candidate{Name: c.Name, UID: c.UID, Created: c.Created}
	}
	a.change(x, func() { x.Candidate = c })
}

// Gone is told by the watch that a run is there no more.
func (a *Admission) Gone(name string) {
	if x := a.runs[name]; x != nil {
		a.change(x, func() { *x = applicant{} })
		delete(a.runs, name)
	}
}

// of is what is known of a run; another one of the same name is another one.
func (a *Admission) of(c Candidate) *applicant {
	if x := a.runs[c.Name]; x != nil && x.UID == c.UID {
		return x
	}
	return nil
}

// Empty reports that there is nothing to remember.
func (a *Admission) Empty() bool { return len(a.runs) == 0 && a.limit == 0 }

// Runs is how many are known that have not ended.
func (a *Admission) Runs() int { return len(a.runs) }

// Waiting is how many runs wait.
func (a *Admission) Waiting() int { return a.idle }

// Ask reports whether a run whose plan is made may begin now. A run that the watch has not told of
// may not, where there is a limit: it is called when it has.
func (a *Admission) Ask(c Candidate) bool {
	x := a.of(c)
	if x == nil {
		return a.limit <= 0
	}
	if x.standing() == Begun {
		return true
	}
	a.change(x, func() { x.asks, x.failed = true, false })
	if a.limit > 0 && (a.begun >= int(a.limit) || !slices.Contains(Admit(a.candidates(), a.limit), c.Name)) {
		return false
	}
	a.change(x, func() { x.allowed = true })
	return true
}

func (a *Admission) candidates() []Candidate {
	all := make([]Candidate, 0, len(a.runs))
	for _, x := range a.runs {
		c := x.Candidate
		c.Standing = x.standing()
		all = append(all, c)
	}
	return all
}

// Wrote says what this process has stored of a run, or has read and left as it is.
func (a *Admission) Wrote(c Candidate) {
	x := a.of(c)
	if x == nil {
		return
	}
	a.change(x, func() {
		if x.Waits = c.Waits; c.Standing >= Begun {
			x.wrote = c.Standing // what is less may be taken back by others, as the watch will tell
		}
		x.asks, x.allowed, x.failed = false, false, false
		if c.Waits {
			x.called = false
		}
	})
}

// Failed says that a run has stored nothing and comes again by itself. Until then others go first.
func (a *Admission) Failed(c Candidate) {
	if x := a.of(c); x != nil {
		a.change(x, func() { x.asks, x.allowed, x.failed = false, false, true })
	}
}

// Unsure says that it is not known whether what a run wanted to store is stored. It counts until it
// is.
func (a *Admission) Unsure(c Candidate) {
	if x := a.of(c); x != nil {
		a.change(x, func() { x.asks = false })
	}
}

// Call gives the runs that wait and may begin now, each once until it has waited again.
func (a *Admission) Call() []string {
	if a.idle == 0 || a.limit > 0 && a.begun >= int(a.limit) {
		return nil
	}
	var names []string
	for _, name := range Admit(a.candidates(), a.limit) {
		if x := a.runs[name]; x.idle() {
			a.change(x, func() { x.called = true })
			names = append(names, name)
		}
	}
	return names
}
