package runs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	corev1 "k8s.io/api/core/v1"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/cmd/controller/internal/plan"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/pipeline"
)

// waitAgain is how soon a run looks again for what it waits for.
const waitAgain = 5 * time.Second

// begin resolves the run once and for all. What is wrong with it ends it here, before anything runs; for a box
// that is not ready it waits.
func (p *pass) begin() error {
	s := &p.run.Status
	if s.StartTime == nil {
		s.StartTime = &metav1.Time{Time: p.now}
	}
	s.State = runtimev1.Pending
	chain, end, err := p.chain()
	if apierrors.IsNotFound(err) {
		p.end(runtimev1.Failed, "there is no Pipeline "+oneLine(p.run.Spec.Pipeline)+" (or one that it continues with)")
		return nil
	}
	if err != nil {
		return err
	}
	found := finder{pass: p, known: map[string]boxes.Bucket{}}
	pl, err := plan.Make(p.run, chain, end, found.find)
	switch {
	case found.trouble != nil:
		return found.trouble
	case found.wait != "":
		p.wait(found.wait)
		return nil
	}
	for i := range pl.Stages {
		if err == nil {
			_, err = plan.MakeSessions(p.run, &pl.Stages[i])
		}
	}
	if err != nil {
		p.end(runtimev1.Failed, oneLine(err.Error()))
		return nil
	}
	for i := range pl.Stages {
		for j := range pl.Stages[i].Inputs {
			in := &pl.Stages[i].Inputs[j]
			if in.Key == "" {
				continue
			}
			etag, err := p.s3.etag(p.ctx, in.Bucket, in.Key)
			switch {
			case errors.Is(err, errNoFile):
				p.end(runtimev1.Failed, fmt.Sprintf("input %s: there is no file %s", in.Name, p.run.Spec.Inputs[in.Name].Path))
				return nil
			case err != nil:
				return err
			case in.ETag != "" && in.ETag != etag:
				p.end(runtimev1.Failed, fmt.Sprintf("input %s: the file %s is another one than when the run was asked for", in.Name, p.run.Spec.Inputs[in.Name].Path))
				return nil
			}
			in.ETag = etag
		}
		if len(pl.Stages[i].Needs) == 0 {
			pl.Stages[i].DueTime = &metav1.MicroTime{Time: p.now}
		}
	}
	ns := &corev1.Namespace{}
	if err := p.Live.Get(p.ctx, types.NamespacedName{Name: p.run.Namespace}, ns); err != nil {
		return fmt.Errorf("reading the namespace: %w", err)
	}
	if err := p.s3.claimRunBucket(p.ctx, p.run.Namespace, string(ns.UID)); err != nil {
		return err
	}
	s.Message = ""
	s.Stages, s.Outputs = pl.Stages, pl.Outputs
	setCondition(s, metav1.Condition{Type: "Succeeded", Status: metav1.ConditionUnknown, Reason: string(runtimev1.Running), ObservedGeneration: p.run.Generation})
	return nil
}

// wait leaves the run Pending and says what for.
func (p *pass) wait(what string) {
	p.run.Status.Message = "it waits: " + oneLine(what)
	if p.hint {
		p.memory.hint(p.key)
	}
	p.lookAt(p.now.Add(waitAgain))
}

// pipelineName is what a Pipeline's name may be, as its CRD has it.
var pipelineName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$`)

// chain reads the run's pipeline and those that it continues with.
func (p *pass) chain() ([]pipeline.Pipeline, pipeline.End, error) {
	first, err := p.readPipeline(p.run.Spec.Pipeline)
	if err != nil {
		return nil, pipeline.Missing, err
	}
	return pipeline.Follow(first, func(name string) (pipeline.Pipeline, bool, error) {
		next, err := p.readPipeline(name)
		return next, err == nil, err
	})
}

func (p *pass) readPipeline(name string) (pipeline.Pipeline, error) {
	if !pipelineName.MatchString(name) { // the API server does not ask for what has no name
		missing := runtimev1.GroupVersion.WithResource("pipelines").GroupResource()
		return pipeline.Pipeline{}, apierrors.NewNotFound(missing, name)
	}
	x := &runtimev1.Pipeline{}
	err := p.Live.Get(p.ctx, types.NamespacedName{Namespace: p.run.Namespace, Name: name}, x)
	return pipeline.Pipeline{Name: name, Spec: &x.Spec}, err
}

// finder finds the buckets of boxes, each once in a pass.
type finder struct {
	*pass
	known map[string]boxes.Bucket
	// wait is what a box is not ready for, trouble an answer that says nothing of the run.
	wait    string
	trouble error
}

// find is the plan.FindBox of a pass.
func (f *finder) find(box string) (string, bool, error) {
	if b, ok := f.known[box]; ok {
		return b.Name, b.Dataset, nil
	}
	b, err := f.buckets().Of(f.ctx, f.s3.Client, f.run.Namespace, box)
	var refusal *boxes.Refusal
	switch {
	case err == nil:
		f.known[box] = b
	case !errors.As(err, &refusal):
		f.trouble = err
	case refusal.Wait:
		f.wait = refusal.Reason
	}
	return b.Name, b.Dataset, err
}

// start starts what is due: a stage whose needs have succeeded, when the event came that says so, or when it has not come within the grace period.
func (p *pass) start() error {
	s := &p.run.Status
	for i := range s.Stages {
		st := &s.Stages[i]
		if st.State != runtimev1.Pending || slices.ContainsFunc(st.Needs, func(n string) bool { return p.stage(n).State != runtimev1.Succeeded }) {
			continue
		}
		if st.DueTime == nil {
			st.DueTime = &metav1.MicroTime{Time: p.now}
		}
		late := false
		if st.Attempt > 0 {
			if p.now.Before(st.DueTime.Time) {
				p.lookAt(st.DueTime.Time)
				continue
			}
		} else if !p.hint {
			at := p.graceEnds(st)
			if p.now.Before(at) {
				p.lookAt(at)
				continue
			}
			late = true
		}
		if !p.admitted() {
			if p.hint {
				p.memory.hint(p.key)
			}
			s.Message = "it waits for other runs of the pipeline (max-parallel-runs)"
			p.lookAt(p.now.Add(2 * time.Second))
			return nil
		}
		if late {
			setCondition(s, metav1.Condition{
				Type: "EventsLost", Status: metav1.ConditionTrue, Reason: "GracePeriodOver",
				Message: fmt.Sprintf("stage %s was started without its event: none came in time", st.Name),
			})
		}
		if err := p.create(st); err != nil {
			return err
		}
		if st.State == runtimev1.Failed {
			p.finished()
			return nil
		}
	}
	return nil
}

func (p *pass) stage(name string) *runtimev1.StageStatus {
	i := slices.IndexFunc(p.run.Status.Stages, func(s runtimev1.StageStatus) bool { return s.Name == name })
	return &p.run.Status.Stages[i] // needs are made of stages' names
}

// graceEnds is when a stage starts although no event has come.
func (p *pass) graceEnds(st *runtimev1.StageStatus) time.Time {
	causes := []string{p.requested().ID()}
	if len(st.Needs) > 0 {
		causes = nil
		for _, n := range st.Needs {
			causes = append(causes, p.ofStage(p.stage(n)).ID())
		}
	}
	at := st.DueTime.Add(p.s3.Config.Runs.Grace())
	for _, id := range causes {
		known := p.memory.publishedAt(p.key, id)
		if known.IsZero() {
			return at
		}
		if known = known.Add(graceKnown); known.Before(at) && known.After(st.DueTime.Time) {
			at = known
		}
	}
	return at
}

// admitted counts the run among those under way.
func (p *pass) admitted() bool {
	if p.run.Status.State == runtimev1.Running {
		p.memory.admit(p.key, p.run.Spec.Pipeline, 0)
		return true
	}
	x := &runtimev1.Pipeline{}
	if err := p.Client.Get(p.ctx, types.NamespacedName{Namespace: p.run.Namespace, Name: p.run.Spec.Pipeline}, x); err != nil {
		return true // its pipeline has gone meanwhile: the run was resolved before
	}
	return p.memory.admit(p.key, p.run.Spec.Pipeline, x.Spec.MaxParallelRuns)
}

// create makes the Job of a stage's next attempt. It may have been made by a pass that ended before it could say so.
func (p *pass) create(st *runtimev1.StageStatus) error {
	if st.Attempt > 0 {
		if err := p.deleteJob(st.Job); err != nil { // the attempt before, if it was not stopped yet
			return err
		}
	}
	if err := p.keepSessions(st, true); err != nil {
		reason, later := sessionsLater(err)
		switch {
		case later:
			p.wait(reason)
			return nil
		case reason != "":
			p.fail(st, oneLine(reason))
			return nil
		}
		return err
	}
	attempt := st.Attempt + 1
	c := plan.JobConfig{Image: p.Image, Security: p.s3.Config.Security, Defaults: p.s3.Config.Defaults}
	job, err := plan.MakeJob(p.run, st, attempt, c)
	if err == nil {
		err = p.Client.Create(p.ctx, job, fieldOwner)
	}
	switch {
	case err == nil:
	case apierrors.IsAlreadyExists(err):
		found := &batchv1.Job{}
		if err := p.Live.Get(p.ctx, types.NamespacedName{Namespace: job.Namespace, Name: job.Name}, found); err != nil {
			return fmt.Errorf("reading Job %s: %w", job.Name, err)
		}
		if !metav1.IsControlledBy(found, p.run) {
			p.fail(st, fmt.Sprintf("a Job %s of somebody else is in the way", job.Name))
			return nil
		}
	case modulerole.Missing(err):
		return fmt.Errorf("making Job %s: %w", job.Name, err)
	case apierrors.IsForbidden(err): // a quota, mostly; it may be lifted
		st.Reason, st.Message = "Forbidden", "its Job is refused: "+oneLine(err.Error())
		p.memory.hint(p.key)
		p.lookAt(p.now.Add(10 * time.Second))
		return nil
	case job == nil || apierrors.IsInvalid(err):
		p.fail(st, oneLine(err.Error()))
		return nil
	default:
		return fmt.Errorf("making Job %s: %w", job.Name, err)
	}
	st.State, st.Attempt, st.Job = runtimev1.Running, attempt, job.Name
	st.StartTime, st.CompletionTime, st.ExitCode = &metav1.MicroTime{Time: time.Now()}, nil, nil
	if attempt == 1 {
		st.Reason, st.Message = "", ""
	}
	p.run.Status.State, p.run.Status.Message = runtimev1.Running, ""
	ctrl.LoggerFrom(p.ctx).Info("stage started", "stage", st.Name, "attempt", attempt, "job", job.Name, "event", p.hint)
	return nil
}

func (p *pass) fail(st *runtimev1.StageStatus, message string) {
	st.State, st.Reason, st.Message = runtimev1.Failed, ReasonNotStarted, message
	st.CompletionTime = &metav1.MicroTime{Time: p.now}
}
