package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"
	"k8s.io/apimachinery/pkg/api/equality"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/plan"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/runstorage"
)

const (
	// passTimeout bounds what a pass asks of S3.
	passTimeout = 15 * time.Second
	// commitTimeout bounds one look at a commit.
	commitTimeout = 5 * time.Second
	// waitAgain is how soon a run looks again for what it waits for.
	waitAgain = 2 * time.Second
	// soon is the pause before a pass that the last one causes.
	soon = 10 * time.Millisecond
	// firstAgain and lastAgain are pauses after passes that failed.
	firstAgain, lastAgain = 200 * time.Millisecond, 10 * time.Second
)

// runner takes one run from step to step, in a goroutine of its own that lives as long as there is
// something to do.
type runner struct {
	woken chan struct{}

	// The rest is the goroutine's.
	hint     bool
	taken    map[string]time.Time
	answers  map[string]run.Answer
	recorded bool
	failed   int
}

// wake has a run looked at.
func (e *Engine) wake(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx == nil || e.ctx.Err() != nil {
		return
	}
	r := e.runners[name]
	if r == nil {
		r = &runner{woken: make(chan struct{}, 1), taken: map[string]time.Time{}, answers: map[string]run.Answer{}}
		e.runners[name] = r
		ctx := e.ctx
		e.all.Go(func() { e.drive(ctx, name, r) })
	}
	r.call()
}

// call has the runner look, unless it is to do so anyhow.
func (r *runner) call() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// drive makes passes until the run is over.
func (e *Engine) drive(ctx context.Context, name string, r *runner) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.woken:
		case <-timer.C:
		}
		began := time.Now()
		p := &pass{Engine: e, runner: r, now: e.now()}
		next, err := p.make(ctx, name)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			e.Logger.Warn("a run could not be taken further", "run", name, "error", err)
			next = p.now.Add(time.Since(began) + min(firstAgain<<min(r.failed, 10), lastAgain))
			r.failed++
		} else {
			r.failed = 0
		}
		if next.IsZero() && err == nil && e.leave(name, r) {
			return
		}
		if next.IsZero() {
			next = p.now.Add(time.Hour)
		}
		timer.Reset(max(next.Sub(p.now)-time.Since(began), soon)) // the clock may have been set meanwhile
	}
}

// leave ends a runner, unless it has been woken.
func (e *Engine) leave(name string, r *runner) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(r.woken) > 0 {
		return false
	}
	delete(e.runners, name)
	return true
}

// pass is one look at one run.
type pass struct {
	*Engine
	*runner
	ctx  context.Context
	run  *runtimev1.PipelineRun
	now  time.Time
	next time.Time
}

func (p *pass) lookAt(t time.Time) {
	if p.next.IsZero() || t.Before(p.next) {
		p.next = t
	}
}

// make observes, steps, writes the status and carries out. It says when to look again; never is
// zero: the run is over, or waits to be called.
func (p *pass) make(ctx context.Context, name string) (next time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	p.ctx = ctx
	if p.run, err = p.store.get(name); err != nil {
		return time.Time{}, nil // it has gone
	}
	hint := p.hint
	p.hint = false
	seen := p.observe(hint)
	status, actions, err := p.step(seen)
	if errors.Is(err, errOther) {
		p.hint = hint
		return p.now, nil
	}
	if err != nil {
		p.hint = hint
		return time.Time{}, err
	}
	p.run.Status = status
	if err := p.carryOut(actions); err != nil {
		p.hint = p.hint || hint
		return time.Time{}, err
	}
	p.removeAttempts(p.run)
	if over(p.run) && len(seen.Going) == 0 || run.Waits(p.run) {
		return time.Time{}, nil
	}
	return p.next, nil
}

// step decides and stores what was decided. Who may begin is decided by one at a time.
func (p *pass) step(seen run.Seen) (runtimev1.PipelineRunStatus, []run.Action, error) {
	before := p.run.Status
	if !before.State.Done() && !run.UnderWay(&before) {
		p.admitting.Lock()
		defer p.admitting.Unlock()
		seen.Room = p.room(seen.Plan)
	}
	status, actions := run.Step(p.run, seen, p.now)
	if equality.Semantic.DeepEqual(before, status) {
		return status, actions, nil
	}
	changed := p.run.DeepCopy()
	changed.Status = status
	if err := p.store.writeStatus(changed); err != nil {
		return status, nil, err
	}
	p.run = changed
	p.tellChange(&before, &status)
	if status.State.Done() && !before.State.Done() {
		p.callWaiting()
	}
	return status, actions, nil
}

// room asks whether the pipeline's limit lets the run begin.
func (p *pass) room(pl *run.Plan) bool {
	if p.run.Spec.Cancel || len(p.run.Status.Stages) == 0 && (pl == nil || len(pl.Stages) == 0) {
		return false
	}
	limit := p.pipelines.Load().limit(p.run.Spec.Pipeline)
	if limit == 0 {
		return true
	}
	return slices.Contains(run.Admit(p.candidates(p.run), limit), p.run.Name)
}

// candidates are the runs of a pipeline; of them asks is ready to begin.
func (e *Engine) candidates(asks *runtimev1.PipelineRun) []run.Candidate {
	var all []run.Candidate
	e.store.look(func(r *runtimev1.PipelineRun) {
		if r.Spec.Pipeline != asks.Spec.Pipeline || r.Status.State.Done() {
			return
		}
		c := run.CandidateOf(r)
		if r.Name == asks.Name && c.Standing == run.Unready {
			c.Standing = run.Ready
		}
		all = append(all, c)
	})
	return all
}

// callWaiting wakes the runs that may begin after the end of another one.
func (p *pass) callWaiting() {
	limit := p.pipelines.Load().limit(p.run.Spec.Pipeline)
	for _, name := range run.Admit(p.candidates(&runtimev1.PipelineRun{Spec: p.run.Spec}), limit) {
		p.wake(name)
	}
}

// tellChange tells what has become of a run and its stages.
func (p *pass) tellChange(before, after *runtimev1.PipelineRunStatus) {
	h := Happening{Pipeline: p.run.Spec.Pipeline, Run: p.run.Name, User: p.run.Spec.User}
	for i, st := range after.Stages {
		var was runtimev1.StageStatus
		if i < len(before.Stages) {
			was = before.Stages[i]
		}
		retried := st.State == runtimev1.Pending && was.State == runtimev1.Running
		if st.State == was.State && st.Attempt == was.Attempt || !retried && (st.State == runtimev1.Pending ||
			st.State == runtimev1.Skipped) {
			continue
		}
		s := h
		s.Kind, s.Stage, s.Attempt, s.State, s.Text = KindStage, st.Name, st.Attempt, st.State, st.Message
		if st.Reason != "" {
			s.Text = st.Reason + ": " + st.Message
		}
		if st.State.Done() && st.StartTime != nil && st.CompletionTime != nil {
			s.Seconds = st.CompletionTime.Sub(st.StartTime.Time).Seconds()
		}
		p.tell(s)
	}
	if after.State != before.State && after.State != runtimev1.Pending {
		h.Kind, h.State, h.Text = KindRun, after.State, after.Message
		if after.State.Done() && after.StartTime != nil {
			h.Seconds = p.now.Sub(after.StartTime.Time).Seconds()
		}
		p.tell(h)
	}
}

// observe looks at everything around the run that its next step may depend on.
func (p *pass) observe(hint bool) run.Seen {
	seen := run.Seen{
		Settings: run.Settings{
			Grace: p.Times.Grace(), ImagePull: p.Times.ImagePull(), Patience: p.Times.Patience(),
			AttemptName: func(stage string, number int) string { return plan.AttemptName(p.run, stage, number) },
		},
		Attempts: map[string]run.Attempt{}, Hint: hint, Taken: p.taken, Answers: p.answers, Recorded: p.recorded,
		Delivered: true, StorageAway: p.storageAway(),
	}
	s := &p.run.Status
	switch {
	case s.State.Done():
		seen.Going = p.going(p.run)
		return seen
	case len(s.Stages) == 0 && !p.run.Spec.Cancel:
		seen.Plan = p.plan()
	}
	for i := range s.Stages {
		if st := &s.Stages[i]; st.State == runtimev1.Running {
			if a := p.attempt(st.Job); a != nil {
				seen.Attempts[st.Job] = a.seen()
			} else if st.StartTime != nil {
				seen.Attempts[st.Job] = run.Attempt{Message: "its folder has gone"}
			}
		}
	}
	seen.AskStorage(p.run, p.now, p.ask(runstorage.Commit), p.ask(runstorage.Close))
	return seen
}

// ask has a question about a stage's commit asked.
func (p *pass) ask(
	do func(ctx context.Context, c *minio.Client, bucket, run, stage string) (run.Commit, error),
) func(stage string) run.Commit {
	return func(name string) run.Commit {
		ctx, cancel := context.WithTimeout(p.ctx, commitTimeout)
		defer cancel()
		c, err := do(ctx, p.s3, p.bucket, p.run.Name, name)
		p.asked(err)
		if err != nil {
			p.Logger.Info("whether a stage has a commit is not known", "run", p.run.Name, "stage", name, "error", err)
		}
		return c
	}
}

// plan makes the run's plan, which is done once.
func (p *pass) plan() *run.Plan {
	known := p.pipelines.Load()
	chain, end, ok := known.chain(p.run.Spec.Pipeline)
	if !ok {
		return &run.Plan{Refusal: "there is no Pipeline " + printable.Line(p.run.Spec.Pipeline) +
			" (or one that it continues with)"}
	}
	pl, err := plan.Make(p.run, chain, end, known.box)
	for i := range pl.Stages {
		if err == nil {
			_, err = plan.MakeSessions(databox.UsualBuckets, p.run, &pl.Stages[i])
		}
	}
	if err != nil {
		return &run.Plan{Refusal: printable.Line(err.Error())}
	}
	refusal, err := runstorage.Pin(p.ctx, p.s3, p.run, pl.Stages, pl.ContentTypes)
	p.asked(err)
	if err != nil {
		return &run.Plan{Wait: "it waits: " + printable.Line(err.Error()), Again: waitAgain}
	}
	return &run.Plan{Refusal: refusal, Stages: pl.Stages, Outputs: pl.Outputs, Kept: pl.KeptLine()}
}

// carryOut does what a step wants, in its order.
func (p *pass) carryOut(actions []run.Action) error {
	for _, a := range actions {
		switch a := a.(type) {
		case run.Announce:
			p.announce(a)
		case run.StartAttempt:
			p.startAttempt(a)
		case run.StopAttempt:
			if x := p.attempt(a.Name); x != nil {
				x.stop("it was stopped")
			}
		case run.DropSessions: // keys are of the folder, and each attempt's files go with it
		case run.Record:
			p.record(a)
		case run.KeepHint:
			p.hint = true
		case run.Look:
			p.lookAt(a.At)
		default:
			return fmt.Errorf("a step wants a %T", a)
		}
	}
	return nil
}

// announce gives an event to whoever takes them. This process is the Broker, so that it is taken and
// delivered at once.
func (p *pass) announce(a run.Announce) {
	id := a.Step.ID()
	if _, taken := p.taken[id]; taken {
		return
	}
	if p.Event != nil {
		if e, err := a.Step.Event(); err == nil {
			p.Event(e)
		} else {
			p.Logger.Warn("an event cannot be made", "error", err)
		}
	}
	p.taken[id] = p.now
	p.hint = true
	p.lookAt(p.now)
}

// startAttempt makes an attempt, if it is not there.
func (p *pass) startAttempt(a run.StartAttempt) {
	if p.attempt(a.Name) != nil {
		p.lookAt(p.now)
		return
	}
	i := slices.IndexFunc(p.run.Status.Stages, func(s runtimev1.StageStatus) bool { return s.Name == a.Stage })
	st := &p.run.Status.Stages[i]
	if a.Number > 1 && !a.Complete {
		c, err := runstorage.Commit(p.ctx, p.s3, p.bucket, p.run.Name, a.Stage)
		p.asked(err)
		if c != run.NoCommit {
			p.lookAt(p.now.Add(soon)) // the attempt before has come back meanwhile
			return
		}
	}
	why := p.begin(p.run, st, a)
	if why == nil {
		delete(p.answers, a.Name)
		p.lookAt(p.now)
		return
	}
	if before, known := p.answers[a.Name]; !known || before != *why {
		p.lookAt(p.now.Add(soon))
	}
	p.answers[a.Name] = *why
}

// record writes run.json beside the outputs.
func (p *pass) record(a run.Record) {
	err := p.writeRecord()
	p.asked(err)
	if err != nil {
		p.Logger.Info("run.json is not written", "run", p.run.Name, "error", err)
		if !a.Last {
			p.lookAt(p.now.Add(waitAgain))
			return
		}
	}
	p.recorded = true
	p.lookAt(p.now)
}

func (p *pass) writeRecord() error {
	known := p.pipelines.Load()
	box := known.defaultBox(p.run.Spec.Pipeline)
	if box == "" {
		return nil
	}
	at, err := known.box(box)
	if err != nil || at.Dataset {
		return nil //nolint:nilerr // there is no place for it
	}
	place, err := plan.RecordPlace(p.run, box)
	if err != nil {
		return nil //nolint:nilerr // likewise
	}
	return runstorage.PutRecord(p.ctx, p.s3, at.Bucket, place, p.run)
}
