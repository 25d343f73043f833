package runs

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/unip-knative/unip/cmd/controller/internal/fair"
	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/printable"
)

const (
	fieldOwner = client.FieldOwner("unip-controller")
	workers    = 8
	// passTimeout bounds one pass over one run.
	passTimeout = time.Minute
	// publishAgain is the pause after an event could not be published.
	publishAgain = 30 * time.Second
	// publishFor is how long after its end a run's events are still tried.
	publishFor = 10 * time.Minute
	// roleAgain is how often is looked whether a module's Role has come; its RoleBinding is watched besides.
	roleAgain = time.Minute
	// graceKnown is the grace period when this process knows that the Broker took the event.
	graceKnown = 5 * time.Second
)

// Broker gives an event to a module's Broker and says later whether it took it.
type Broker interface {
	Publish(namespace string, e cloudevents.Event, done func(error)) error
}

// Reconciler is the one writer of PipelineRuns' status.
type Reconciler struct {
	Client    client.Client // its reads come from the cache: pods, Jobs, Pipelines, boxes
	Live      client.Reader // reads from the API server: the run itself
	Pods      kubernetes.Interface
	Events    events.EventRecorder
	Settings  *settings.Source
	Transport http.RoundTripper
	Broker    Broker
	// Image of fetch and publish.
	Image string

	memory   *memory
	sessions dues
	wake     chan event.GenericEvent
	hints    *fair.Queue
}

// hintLimits bound the looks that events cause, each of which reads a run from the API server: a module's own steps need some
// a second, and all modules together get half of the calls that the controller may make.
var hintLimits = fair.Limits{PerSecond: 10, Burst: 50, TotalPerSecond: 25, TotalBurst: 100, Waiting: 1000}

// SetUp adds the reconciler to the manager. The cache must be limited to pods and Jobs that have runtimev1.RunLabel.
func (r *Reconciler) SetUp(mgr ctrl.Manager) error {
	r.memory = newMemory()
	r.wake = make(chan event.GenericEvent, 1024)
	r.hints = fair.NewQueue(hintLimits)
	handOut := func(ctx context.Context) error {
		r.hints.Run(ctx, r.look)
		return nil
	}
	if err := mgr.Add(manager.RunnableFunc(handOut)); err != nil {
		return fmt.Errorf("queue of hints: %w", err)
	}
	ofRun := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		if run := o.GetLabels()[runtimev1.RunLabel]; run != "" {
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: run}}}
		}
		return nil
	})
	return ctrl.NewControllerManagedBy(mgr).
		For(&runtimev1.PipelineRun{}).
		Watches(&batchv1.Job{}, ofRun).
		Watches(&corev1.Pod{}, ofRun).
		WatchesMetadata(modulerole.Binding(), modulerole.Wake(r.Client, func() client.ObjectList { return &runtimev1.PipelineRunList{} })).
		WatchesRawSource(source.Channel(r.wake, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](200*time.Millisecond, 30*time.Second),
		}).
		Complete(r)
}

// Hint says that an event named the run. It may come from anybody, and all it does is to make the controller look. An event
// about a run that is not there or that has ended costs nothing: the cache knows all runs. The others wait their turn.
func (r *Reconciler) Hint(ctx context.Context, run types.NamespacedName) {
	known := &runtimev1.PipelineRun{}
	if err := r.Client.Get(ctx, run, known); err != nil || known.Status.State.Done() {
		return
	}
	r.memory.hint(run)
	r.hints.Add(run) // refused where so many wait that the grace period does as well
}

func (r *Reconciler) look(run types.NamespacedName) {
	o := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: run.Namespace, Name: run.Name}}
	select {
	case r.wake <- event.GenericEvent{Object: o}:
	default: // so many are waiting that the grace period does as well
	}
}

// pass is one look at one run.
type pass struct {
	*Reconciler
	ctx  context.Context
	key  types.NamespacedName
	run  *runtimev1.PipelineRun
	s3   s3
	now  time.Time
	hint bool
	// stop are Jobs to be deleted once the status says why.
	stop []string
	// after is when to look again at the latest.
	after time.Duration
}

func (p *pass) lookAt(t time.Time) {
	d := max(time.Until(t), 10*time.Millisecond)
	if p.after == 0 || d < p.after {
		p.after = d
	}
}

// Reconcile takes a run one step further.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	run := &runtimev1.PipelineRun{}
	if err := r.Client.Get(ctx, req.NamespacedName, run); err == nil && run.Status.Recorded && time.Since(run.Status.CompletionTime.Time) > publishFor {
		r.memory.forget(req.NamespacedName)
		return r.keep(ctx, run) // long over: a new leader need not read it again
	}
	run = &runtimev1.PipelineRun{}
	if err := r.Live.Get(ctx, req.NamespacedName, run); err != nil {
		if apierrors.IsNotFound(err) {
			r.memory.forget(req.NamespacedName)
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, fmt.Errorf("reading the run: %w", err)
	}
	if run.DeletionTimestamp != nil {
		return reconcile.Result{}, nil // its Jobs and its Secret go with it
	}
	p := &pass{Reconciler: r, ctx: ctx, key: req.NamespacedName, run: run, now: time.Now(), hint: r.memory.take(req.NamespacedName)}
	err := p.do()
	if err != nil && p.hint {
		r.memory.hint(req.NamespacedName) // for the next pass
	}
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	if err != nil {
		return withoutRole(ctx, run.Namespace, err)
	}
	return reconcile.Result{RequeueAfter: p.after}, nil
}

// withoutRole makes a later look of an error for want of the module's Role; any other error stays one.
func withoutRole(ctx context.Context, namespace string, err error) (reconcile.Result, error) {
	if !modulerole.Missing(err) {
		return reconcile.Result{}, err
	}
	ctrl.LoggerFrom(ctx).Info(modulerole.Message(namespace), "error", err.Error())
	return reconcile.Result{RequeueAfter: roleAgain}, nil
}

// keep deletes a run that ended so long ago that nobody need see it; its outputs and run.json stay.
func (r *Reconciler) keep(ctx context.Context, run *runtimev1.PipelineRun) (reconcile.Result, error) {
	left := time.Until(run.Status.CompletionTime.Add(r.Settings.Current().Config.Runs.Keep()))
	if left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	uid := run.UID
	err := r.Client.Delete(ctx, run, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	return withoutRole(ctx, run.Namespace, client.IgnoreNotFound(err))
}

func (p *pass) do() error {
	var err error
	if p.s3, err = openS3(p.Settings, p.Transport); err != nil {
		return err
	}
	before := p.run.DeepCopy()
	wasDone := before.Status.State.Done()
	if !wasDone {
		switch err := p.step(); {
		case modulerole.Missing(err): // nothing is wrong with the run: it goes on when the Role is there
			p.run.Status.Message = modulerole.Message(p.run.Namespace)
			if p.hint {
				p.memory.hint(p.key)
			}
			p.lookAt(p.now.Add(roleAgain))
		case err != nil:
			return err
		}
	}
	if p.run.Status.State.Done() && wasDone {
		if err := p.wrapUp(); err != nil {
			return err
		}
	}
	makePrintable(&p.run.Status)
	if !equality.Semantic.DeepEqual(before.Status, p.run.Status) {
		// With the resource version: of two leaders, which should not be, one fails.
		if err := p.Client.Status().Update(p.ctx, p.run, fieldOwner); err != nil {
			return client.IgnoreNotFound(err)
		}
	}
	for _, job := range p.stop {
		if err := p.deleteJob(job); err != nil {
			return err
		}
	}
	p.publish()
	if p.run.Status.State.Done() && !wasDone {
		p.after = 10 * time.Millisecond // to wrap up
		p.memory.leave(p.key)
		p.Events.Eventf(p.run, nil, kind(p.run.Status.State), "Run"+string(p.run.Status.State), "Reconcile", "%s", orElse(p.run.Status.Message, "all stages succeeded"))
	}
	return nil
}

// makePrintable makes what a status says to people fit for their terminals, whoever's words are in it.
func makePrintable(s *runtimev1.PipelineRunStatus) {
	s.Message = printable.Line(s.Message)
	for i := range s.Stages {
		st := &s.Stages[i]
		st.Reason, st.Message = printable.Line(st.Reason), printable.Line(st.Message)
	}
	for i := range s.Conditions {
		s.Conditions[i].Message = printable.Line(s.Conditions[i].Message)
	}
}

func kind(s runtimev1.State) string {
	if s == runtimev1.Failed {
		return corev1.EventTypeWarning
	}
	return corev1.EventTypeNormal
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// step changes the status of a run that goes on.
func (p *pass) step() error {
	if p.run.Spec.Cancel {
		return p.cancel()
	}
	if len(p.run.Status.Stages) == 0 {
		if err := p.begin(); err != nil || p.run.Status.State.Done() || len(p.run.Status.Stages) == 0 {
			return err
		}
	}
	if p.run.Status.State == runtimev1.Running {
		p.memory.admit(p.key, p.run.Spec.Pipeline, 0) // it is under way, also for a leader that has just begun
	}
	if err := p.observe(); err != nil {
		return err
	}
	if p.finished() {
		return nil
	}
	return p.start()
}

// observe takes over what Jobs and pods say of running stages.
func (p *pass) observe() error {
	for i := range p.run.Status.Stages {
		st := &p.run.Status.Stages[i]
		if st.State != runtimev1.Running {
			continue
		}
		job, pod, err := p.attempt(st)
		if err != nil {
			return err
		}
		o := judge(st, job, pod, deadlines{imagePull: p.s3.Config.Runs.ImagePull()}, p.now)
		p.take(st, o)
		if st.State == runtimev1.Running {
			p.renewSessions(st)
		}
	}
	return nil
}

// attempt finds the Job and the pod of a stage's present attempt. A Job that the cache does not know is asked for live: it may have been made a moment ago.
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
		return nil, nil, fmt.Errorf("the Job %s is not of this run", st.Job)
	}
	var pods corev1.PodList
	if err := p.Client.List(p.ctx, &pods, client.InNamespace(p.run.Namespace), client.MatchingLabels{runtimev1.RunLabel: p.run.Name, batchv1.JobNameLabel: st.Job}); err != nil {
		return nil, nil, fmt.Errorf("reading the pods of Job %s: %w", st.Job, err)
	}
	var newest *corev1.Pod
	for i := range pods.Items {
		pod := &pods.Items[i]
		if job != nil && !metav1.IsControlledBy(pod, job) {
			continue // labels are anybody's to set
		}
		if newest == nil || newest.CreationTimestamp.Before(&pod.CreationTimestamp) {
			newest = pod
		}
	}
	return job, newest, nil
}

// take writes an attempt's outcome into the stage.
func (p *pass) take(st *runtimev1.StageStatus, o outcome) {
	if !o.look.IsZero() {
		p.lookAt(o.look)
	}
	if o.state == runtimev1.Running {
		st.Reason, st.Message = o.reason, o.message
		return
	}
	st.Reason, st.Message, st.ExitCode = o.reason, o.message, o.exitCode
	st.CompletionTime = &metav1.MicroTime{Time: o.ended}
	if o.state == runtimev1.Succeeded {
		st.State, st.Files, st.Bytes = runtimev1.Succeeded, o.result.Files, o.result.Bytes
		return
	}
	if o.stop {
		p.stop = append(p.stop, st.Job)
	}
	if st.Attempt < mayTry(st, o.ours) {
		st.State = runtimev1.Pending
		st.DueTime = &metav1.MicroTime{Time: p.now.Add(pause(st.Attempt))}
		st.Message = fmt.Sprintf("attempt %d failed: %s", st.Attempt, o.message)
		return
	}
	st.State = runtimev1.Failed
}

// oursAtMost is how many attempts more a stage gets for failures that are not its own doing.
const oursAtMost = 3

func mayTry(st *runtimev1.StageStatus, ours bool) int {
	n := 1 + int(st.Spec.Retries)
	if ours {
		n += oursAtMost
	}
	return n
}

// pause before the attempt after the nth: 2, 4, 8 … at most 60 s.
func pause(n int) time.Duration {
	return min(time.Second<<min(n, 10), time.Minute)
}

// finished ends the run when nothing more can come of it: at the first stage that failed for good, or when all have succeeded.
func (p *pass) finished() bool {
	s := &p.run.Status
	failed := slices.IndexFunc(s.Stages, func(st runtimev1.StageStatus) bool { return st.State == runtimev1.Failed })
	if failed >= 0 {
		st := s.Stages[failed]
		message := fmt.Sprintf("stage %s failed: %s: %s", st.Name, st.Reason, st.Message)
		if st.Attempt > 1 {
			message += fmt.Sprintf(" (attempt %d)", st.Attempt)
		}
		p.end(runtimev1.Failed, message)
		return true
	}
	if slices.ContainsFunc(s.Stages, func(st runtimev1.StageStatus) bool { return st.State != runtimev1.Succeeded }) {
		return false
	}
	p.end(runtimev1.Succeeded, "")
	return true
}

// end closes the run; what still runs is stopped after the status has been written.
func (p *pass) end(state runtimev1.State, message string) {
	s := &p.run.Status
	s.State, s.Message, s.CompletionTime = state, message, &metav1.Time{Time: p.now}
	for i := range s.Stages {
		st := &s.Stages[i]
		switch st.State {
		case runtimev1.Pending:
			st.State = runtimev1.Skipped
		case runtimev1.Running:
			st.State, st.Reason, st.Message, st.CompletionTime = runtimev1.Cancelled, "", "the run ended", &metav1.MicroTime{Time: p.now}
			p.stop = append(p.stop, st.Job)
		}
	}
	c := metav1.Condition{Type: "Succeeded", Status: metav1.ConditionFalse, Reason: string(state), Message: message, ObservedGeneration: p.run.Generation}
	if state == runtimev1.Succeeded {
		c.Status = metav1.ConditionTrue
	}
	setCondition(s, c)
}

// cancel ends the run at its user's wish. Jobs are looked for live and by label, so that none is missed that was made at the same moment.
func (p *pass) cancel() error {
	var jobs batchv1.JobList
	if err := p.liveList(&jobs); err != nil {
		return err
	}
	p.end(runtimev1.Cancelled, "cancelled by its user")
	for i := range jobs.Items {
		if metav1.IsControlledBy(&jobs.Items[i], p.run) && !slices.Contains(p.stop, jobs.Items[i].Name) && !finishedJob(&jobs.Items[i]) {
			p.stop = append(p.stop, jobs.Items[i].Name)
		}
	}
	return nil
}

func (p *pass) liveList(jobs *batchv1.JobList) error {
	if err := p.Live.List(p.ctx, jobs, client.InNamespace(p.run.Namespace), client.MatchingLabels{runtimev1.RunLabel: p.run.Name}); err != nil {
		return fmt.Errorf("reading the run's Jobs: %w", err)
	}
	return nil
}

func finishedJob(j *batchv1.Job) bool {
	return hasCondition(j, batchv1.JobComplete) || hasCondition(j, batchv1.JobFailed)
}

// deleteJob stops an attempt: its log is kept, then its pod gets the signal to end.
func (p *pass) deleteJob(name string) error {
	if name == "" {
		return nil
	}
	job := &batchv1.Job{}
	err := p.Live.Get(p.ctx, types.NamespacedName{Namespace: p.run.Namespace, Name: name}, job)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if !metav1.IsControlledBy(job, p.run) || finishedJob(job) {
		return nil // a finished one stays for its time, to be looked at
	}
	if err := saveLog(p.ctx, p.Pods, p.s3.Client, job); err != nil {
		ctrl.LoggerFrom(p.ctx).Info("the log of a stopped stage is lost", "job", name, "error", err.Error())
	}
	err = p.Client.Delete(p.ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground), client.Preconditions{UID: &job.UID})
	return client.IgnoreNotFound(err)
}

func setCondition(s *runtimev1.PipelineRunStatus, c metav1.Condition) {
	i := slices.IndexFunc(s.Conditions, func(o metav1.Condition) bool { return o.Type == c.Type })
	c.LastTransitionTime = metav1.Now()
	c.Message = printable.Line(c.Message)
	if i < 0 {
		s.Conditions = append(s.Conditions, c)
		return
	}
	if s.Conditions[i].Status == c.Status {
		c.LastTransitionTime = s.Conditions[i].LastTransitionTime
	}
	s.Conditions[i] = c
}
