package runs

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/runbucket"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	s3client "github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/plan"
	life "github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/runstorage"
)

// waitAgain is how soon a run looks again for what it waits for.
const waitAgain = 5 * time.Second

// observe looks at everything around the run that its next step may depend on.
func (p *pass) observe() (life.Seen, error) {
	c := p.s3.Config.Runs
	seen := life.Seen{
		Settings: life.Settings{
			Grace: c.Grace(), ImagePull: c.ImagePull(), Patience: c.Patience(),
			AttemptName: func(stage string, number int) string { return plan.AttemptName(p.run, stage, number) },
		},
		Attempts: map[string]life.Attempt{}, Hint: p.hint, StorageAway: p.StorageAway(),
		Delivered: p.Delivered(p.run.Namespace),
	}
	p.memory.recall(p.key, &seen)
	s := &p.run.Status
	var err error
	switch {
	case s.State.Done():
		seen.Going, err = p.going()
		return seen, err
	case p.run.Spec.Cancel && len(s.Stages) == 0:
		return seen, nil
	case len(s.Stages) == 0:
		if seen.Plan, err = p.resolveInTime(); err != nil {
			away := p.StorageAway()
			if away.IsZero() {
				return seen, err
			}
			seen.Plan = waitsForStorage(away)
		}
	}
	for i := range s.Stages {
		st := &s.Stages[i]
		if st.State != runtimev1.Running {
			continue
		}
		job, pod, err := p.attempt(st)
		if errors.Is(err, errNotOurs) && p.run.Spec.Cancel {
			continue
		}
		if err != nil {
			return seen, err
		}
		p.pods[st.Job] = pod
		a := readAttempt(job, pod)
		if at := p.memory.madeAt(p.key, st.Job); !at.IsZero() {
			a.Made = at // a Job's own time is in whole seconds
		}
		p.explain(&a, pod)
		seen.Attempts[st.Job] = a
	}
	seen.Room = !p.run.Spec.Cancel && p.room(seen.Plan)
	seen.AskStorage(p.run, p.now, p.commit, p.closeCommit)
	return seen, nil
}

func waitsForStorage(since time.Time) *life.Plan {
	wait := fmt.Sprintf("it waits: storage has not answered since %s", since.UTC().Format(time.RFC3339))
	return &life.Plan{Wait: wait, Again: waitAgain}
}

// commitTimeout bounds one look at a commit, so that a storage that is silent holds nobody up.
const commitTimeout = 5 * time.Second

// commit looks whether a stage has one. In a bucket that is not the module's there is none.
func (p *pass) commit(name string) life.Commit {
	ctx, cancel := context.WithTimeout(p.ctx, commitTimeout)
	defer cancel()
	bucket, err := p.buckets().Runs(ctx, p.s3, p.run.Namespace)
	if err != nil {
		return p.noCommit(name, err)
	}
	c, err := runstorage.Commit(ctx, p.s3.Client, bucket, p.run.Name, name)
	if err != nil {
		return p.unknown(name, err)
	}
	return c
}

// noCommit is what an error of storage says about a stage's commit.
func (p *pass) noCommit(name string, err error) life.Commit {
	var refusal *boxes.Refusal
	if errors.As(err, &refusal) || s3client.IsMissing(err) {
		return life.NoCommit
	}
	return p.unknown(name, err)
}

func (p *pass) unknown(name string, err error) life.Commit {
	ctrl.LoggerFrom(p.ctx).Info("whether a stage has a commit is not known", "stage", name, "error", err.Error())
	return life.Unknown
}

// closeCommit closes a stage's commit unless it has one: of an attempt and this, the first wins.
func (p *pass) closeCommit(name string) life.Commit {
	ctx, cancel := context.WithTimeout(p.ctx, commitTimeout)
	defer cancel()
	bucket, err := p.buckets().Runs(ctx, p.s3, p.run.Namespace)
	if err != nil {
		return p.noCommit(name, err)
	}
	c, err := runstorage.Close(ctx, p.s3.Client, bucket, p.run.Name, name)
	if err != nil {
		return p.unknown(name, err)
	}
	if c == life.NoCommit {
		ctrl.LoggerFrom(p.ctx).Info("a stage ends without outputs: its commit is closed", "stage", name)
	}
	return c
}

// errNotOurs is a Job of somebody else under an attempt's name.
var errNotOurs = errors.New("a Job is not of this run")

// attempt finds the Job and the pod of a stage's present attempt. A Job that the cache does not
// know is asked for live: it may have been made a moment ago.
func (p *pass) attempt(st *runtimev1.StageStatus) (*batchv1.Job, *corev1.Pod, error) {
	key := types.NamespacedName{Namespace: p.run.Namespace, Name: st.Job}
	job := &batchv1.Job{}
	err := p.Client.Get(p.ctx, key, job)
	if apierrors.IsNotFound(err) {
		err = p.Live.Get(p.ctx, key, job)
	}
	switch {
	case apierrors.IsNotFound(err):
		job = nil
	case err != nil:
		return nil, nil, fmt.Errorf("reading Job %s: %w", st.Job, err)
	case !metav1.IsControlledBy(job, p.run):
		if st.StartTime == nil {
			return nil, nil, nil // making the attempt will say so
		}
		return nil, nil, fmt.Errorf("%w: %s", errNotOurs, st.Job)
	}
	var pods corev1.PodList
	labels := client.MatchingLabels{runtimev1.RunLabel: p.run.Name, batchv1.JobNameLabel: st.Job}
	if err := p.Client.List(p.ctx, &pods, client.InNamespace(p.run.Namespace), labels); err != nil {
		return nil, nil, fmt.Errorf("reading the pods of Job %s: %w", st.Job, err)
	}
	var newest *corev1.Pod
	for i := range pods.Items {
		pod := &pods.Items[i]
		if job != nil && !metav1.IsControlledBy(pod, job) || job == nil && st.StartTime == nil {
			continue // labels are anybody's to set
		}
		if newest == nil || newest.CreationTimestamp.Before(&pod.CreationTimestamp) {
			newest = pod
		}
	}
	return job, newest, nil
}

// going are the Jobs of the run that go on. Until the run is recorded they are looked for live, so
// that none is missed that was made at the moment of its end.
func (p *pass) going() ([]string, error) {
	var from client.Reader = p.Client
	if !p.run.Status.Recorded {
		from = p.Live
	}
	var jobs batchv1.JobList
	err := from.List(p.ctx, &jobs, client.InNamespace(p.run.Namespace),
		client.MatchingLabels{runtimev1.RunLabel: p.run.Name})
	if err != nil {
		return nil, fmt.Errorf("reading the run's Jobs: %w", err)
	}
	var names []string
	for i := range jobs.Items {
		if j := &jobs.Items[i]; metav1.IsControlledBy(j, p.run) && !finishedJob(j) && j.DeletionTimestamp == nil {
			names = append(names, j.Name)
		}
	}
	return names, nil
}

// room asks whether the pipeline's limit lets the run begin. One without a plan need not know yet.
func (p *pass) room(pl *life.Plan) bool {
	if len(p.run.Status.Stages) == 0 && (pl == nil || len(pl.Stages) == 0) {
		return false
	}
	p.asked = true
	return p.admission.ask(p.run)
}

// resolveTimeout leaves time of a pass to say what is waited for.
const resolveTimeout = passTimeout / 4

func (p *pass) resolveInTime() (*life.Plan, error) {
	ctx, cancel := context.WithTimeout(p.ctx, resolveTimeout)
	defer cancel()
	in := *p
	in.ctx = ctx
	return in.resolve()
}

// resolve makes the run's plan, which is done once. It pins the versions of its files and makes the
// module's run bucket.
func (p *pass) resolve() (*life.Plan, error) {
	chain, end, err := p.chain()
	if apierrors.IsNotFound(err) {
		why := "there is no Pipeline " + oneLine(p.run.Spec.Pipeline) + " (or one that it continues with)"
		return &life.Plan{Refusal: why}, nil
	}
	if err != nil {
		return nil, err
	}
	found := finder{pass: p, known: map[string]boxes.Bucket{}}
	pl, err := plan.Make(p.run, chain, end, found.bucketOf)
	switch {
	case found.trouble != nil:
		return nil, found.trouble
	case found.wait != "":
		return &life.Plan{Wait: "it waits: " + oneLine(found.wait), Again: waitAgain}, nil
	}
	for i := range pl.Stages {
		if err == nil {
			_, err = plan.MakeSessions(p.s3.Config.S3.Buckets, p.run, &pl.Stages[i])
		}
	}
	if err != nil {
		return &life.Plan{Refusal: oneLine(err.Error())}, nil
	}
	refusal, err := runstorage.Pin(p.ctx, p.s3.Client, p.run, pl.Stages, pl.ContentTypes)
	if err != nil || refusal != "" {
		return &life.Plan{Refusal: refusal}, err
	}
	ns := &corev1.Namespace{}
	if err := p.Live.Get(p.ctx, types.NamespacedName{Name: p.run.Namespace}, ns); err != nil {
		return nil, fmt.Errorf("reading the namespace: %w", err)
	}
	if err := runbucket.Claim(p.ctx, p.s3, p.run.Namespace, string(ns.UID)); err != nil {
		return nil, err
	}
	return &life.Plan{Stages: pl.Stages, Outputs: pl.Outputs, Kept: pl.KeptLine()}, nil
}
