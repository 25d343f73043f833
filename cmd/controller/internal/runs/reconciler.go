package runs

import (
	"context"
	"fmt"
	"net/http"
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
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unip-knative/unip/cmd/controller/internal/fair"
	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/cmd/controller/internal/traces"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/names"
	life "github.com/unip-knative/unip/eventing/run"
)

const (
	fieldOwner = client.FieldOwner(names.Controller)
	workers    = 16
	// ofOneModule is how many of the workers one module's runs may have.
	ofOneModule = 8
	// passTimeout bounds one pass over one run.
	passTimeout = time.Minute
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
	// Delivered reports a namespace whose Broker answers only after its subscribers have.
	Delivered func(namespace string) bool
	// StorageAway is since when S3 has not answered; zero: it does, as far as is known.
	StorageAway func() time.Time
	// Image of fetch and publish.
	Image string
	// Traces is told of stages and runs that have ended.
	Traces *traces.Exporter

	memory    *memory
	sessions  dues
	queue     queue
	admission *admission
	hints     *fair.Queue
}

// hintLimits bound the looks that events cause, each of which reads a run from the API server: a
// module's own steps need some a second, and all modules together get a quarter of the calls that the
// controller may make.
var hintLimits = fair.Limits{PerSecond: 10, Burst: 50, TotalPerSecond: 25, TotalBurst: 100, Waiting: 1000}

// SetUp adds the reconciler to the manager. The cache must be limited to pods and Jobs that have
// runtimev1.RunLabel.
func (r *Reconciler) SetUp(mgr ctrl.Manager) error {
	r.memory = newMemory()
	r.queue = newQueue()
	r.admission = newAdmission(r.look)
	r.hints = fair.NewQueue(hintLimits)
	handOut := func(ctx context.Context) error {
		r.hints.Run(ctx, r.look)
		return nil
	}
	if err := mgr.Add(manager.RunnableFunc(handOut)); err != nil {
		return fmt.Errorf("queue of hints: %w", err)
	}
	ofRun := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		if name := o.GetLabels()[runtimev1.RunLabel]; name != "" {
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
		}
		return nil
	})
	return ctrl.NewControllerManagedBy(mgr).Named("pipelinerun").
		WatchesRawSource(newWatched(r.admission, mgr.GetCache())).
		Watches(&batchv1.Job{}, ofRun).
		Watches(&corev1.Pod{}, ofRun).
		WatchesMetadata(modulerole.Binding(), modulerole.Wake(r.Client,
			func() client.ObjectList { return &runtimev1.PipelineRunList{} }, goesOn)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			NewQueue: func(string, workqueue.TypedRateLimiter[reconcile.Request]) queue {
				return r.queue
			},
		}).
		Complete(r)
}

// newQueue is one in which modules take turns.
func newQueue() queue {
	const name = "pipelinerun"
	return workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](200*time.Millisecond, 30*time.Second),
		workqueue.TypedRateLimitingQueueConfig[reconcile.Request]{Name: name,
			DelayingQueue: workqueue.NewTypedDelayingQueueWithConfig(
				workqueue.TypedDelayingQueueConfig[reconcile.Request]{Name: name,
					Queue: fair.NewWork(ofOneModule, func(x reconcile.Request) string { return x.Namespace })})})
}

// goesOn reports a run that has something to do now.
func goesOn(o client.Object) bool {
	r, ok := o.(*runtimev1.PipelineRun)
	return ok && !r.Status.Recorded && !life.Waits(r)
}

// Hint says that an event named the run. It may come from anybody, and all it does is to make the
// controller look. An event about a run that is not there, that has ended or that waits for others
// costs nothing: the cache knows all runs. The others wait their turn.
func (r *Reconciler) Hint(ctx context.Context, run types.NamespacedName) {
	known := &runtimev1.PipelineRun{}
	if err := r.Client.Get(ctx, run, known); err != nil || known.Status.State.Done() || life.Waits(known) {
		return
	}
	r.memory.hint(run)
	r.hints.Add(run) // refused where so many wait that the grace period does as well
}

func (r *Reconciler) look(run types.NamespacedName) {
	r.queue.Add(reconcile.Request{NamespacedName: run})
}

// pass is one look at one run.
type pass struct {
	*Reconciler
	ctx  context.Context
	key  types.NamespacedName
	run  *runtimev1.PipelineRun
	s3   settings.Store
	now  time.Time
	hint bool
	pods map[string]*corev1.Pod // of the attempts that run, by Job
	// asked: admission waits to be told what came of it.
	asked bool
	// after is when to look again at the latest.
	after time.Duration
}

func (p *pass) lookAt(t time.Time) {
	d := max(time.Until(t), soon)
	if p.after == 0 || d < p.after {
		p.after = d
	}
}

// Reconcile takes a run one step further.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	cached := &runtimev1.PipelineRun{}
	err := r.Client.Get(ctx, req.NamespacedName, cached)
	if err == nil && cached.Status.Recorded && time.Since(cached.Status.CompletionTime.Time) > life.TellFor {
		r.memory.forget(req.NamespacedName)
		return r.keep(ctx, cached) // long over: a new leader need not read it again
	}
	o := cached
	// What this process has written or read last needs no reading again: who has written since then
	// makes it fail to.
	if err != nil || slim(cached) || !r.memory.isNewest(req.NamespacedName, cached.ResourceVersion) {
		o = &runtimev1.PipelineRun{}
		if err := r.Live.Get(ctx, req.NamespacedName, o); err != nil {
			if apierrors.IsNotFound(err) {
				r.memory.forget(req.NamespacedName)
				return reconcile.Result{}, nil
			}
			return reconcile.Result{}, fmt.Errorf("reading the run: %w", err)
		}
		r.memory.newest(req.NamespacedName, o.ResourceVersion)
	}
	if o.DeletionTimestamp != nil {
		return reconcile.Result{}, nil // its Jobs and its Secrets go with it
	}
	p := &pass{Reconciler: r, ctx: ctx, key: req.NamespacedName, run: o, now: time.Now(),
		pods: map[string]*corev1.Pod{}, hint: r.memory.takeHint(req.NamespacedName)}
	err = p.step()
	if p.asked {
		r.admission.failed(p.run)
	}
	if err != nil && p.hint {
		r.memory.hint(req.NamespacedName) // for the next pass
	}
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	if err != nil {
		return modulerole.Later(ctx, o.Namespace, err)
	}
	if life.Waits(p.run) {
		return reconcile.Result{}, nil // it is called
	}
	return reconcile.Result{RequeueAfter: p.after}, nil
}

// keep deletes a run that ended so long ago that nobody need see it; its outputs and run.json stay.
func (r *Reconciler) keep(ctx context.Context, run *runtimev1.PipelineRun) (reconcile.Result, error) {
	left := time.Until(run.Status.CompletionTime.Add(r.Settings.Current().Config.Runs.Keep()))
	if left > 0 {
		return reconcile.Result{RequeueAfter: left}, nil
	}
	uid := run.UID
	err := r.Client.Delete(ctx, run, client.Preconditions{UID: &uid},
		client.PropagationPolicy(metav1.DeletePropagationBackground))
	return modulerole.Later(ctx, run.Namespace, client.IgnoreNotFound(err))
}

// step observes, steps, writes the status once and carries out what the step wants. What is decided
// is decided in eventing/run.
func (p *pass) step() error {
	var err error
	if p.s3, err = p.Settings.Open(p.Transport); err != nil {
		return err
	}
	seen, err := p.observe()
	if err != nil {
		return err
	}
	before := p.run.Status
	status, actions := life.Step(p.run, seen, p.now)
	p.run.Status = status
	if !equality.Semantic.DeepEqual(before, status) {
		// With the resource version: of two leaders, which should not be, one fails.
		if err := p.Client.Status().Update(p.ctx, p.run, fieldOwner); err != nil {
			p.memory.newest(p.key, "")
			if !refused(err) { // it may be stored, or it is a try before that is in the way
				p.asked = false
				p.admission.unsure(p.run)
			}
			return client.IgnoreNotFound(err)
		}
		p.memory.newest(p.key, p.run.ResourceVersion)
	}
	p.asked = false
	p.admission.wrote(p.run)
	p.memory.observeStatus(p.key, &before, &status)
	count(p.run, &before, &status, p.pods)
	p.tell(&before, &status)
	p.trace(&before, &status)
	if err := p.carryOut(actions); err != nil {
		return err
	}
	for i := range p.run.Status.Stages {
		if st := &p.run.Status.Stages[i]; st.State == runtimev1.Running && st.StartTime != nil {
			p.renewSessions(st)
		}
	}
	return nil
}

// refused reports an error by which nothing was stored for certain.
func refused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsNotFound(err) ||
		apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsTooManyRequests(err)
}

// slim reports a run of which the cache keeps little: it is over, or waits.
func slim(r *runtimev1.PipelineRun) bool { return r.Status.Recorded || life.Waits(r) }

// Slim is the cache's transformation of runs. There may be many that have ended or that wait, and
// little is asked of them. Who needs more of one reads it live.
func Slim(o any) (any, error) {
	r, ok := o.(*runtimev1.PipelineRun)
	if !ok {
		return o, nil
	}
	r.ManagedFields = nil
	if !slim(r) {
		return r, nil
	}
	few := &runtimev1.PipelineRun{ObjectMeta: r.ObjectMeta}
	few.Annotations = nil
	few.Spec.Pipeline, few.Spec.Cancel = r.Spec.Pipeline, r.Spec.Cancel
	s := &few.Status
	s.State, s.Recorded, s.CompletionTime = r.Status.State, r.Status.Recorded, r.Status.CompletionTime
	if !s.Recorded {
		s.Stages = []runtimev1.StageStatus{{Name: r.Status.Stages[0].Name, State: r.Status.Stages[0].State}}
		s.Conditions = r.Status.Conditions
	}
	return few, nil
}
