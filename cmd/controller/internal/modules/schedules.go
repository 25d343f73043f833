package modules

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/unip-knative/unip/cmd/controller/internal/fair"
	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/cmd/controller/internal/starts"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/schedule"
	"github.com/unip-knative/unip/eventing/start"
)

// Scheduled is the condition of a Pipeline with a schedule, and these are its reasons.
const (
	Scheduled       = "Scheduled"
	InvalidSchedule = "InvalidSchedule" // False: nothing starts by it
	Missed          = "Missed"          // something due was passed over
	GracePeriodOver = "GracePeriodOver" // the last run began without its ping
)

var schedulesMissed = prometheus.NewCounter(prometheus.CounterOpts{Name: "unip_schedules_missed_total",
	Help: "How often due times of a schedule were passed over, because nobody could start their run in time."})

func init() { metrics.Registry.MustRegister(schedulesMissed) }

// Schedules starts the runs of Pipelines with a schedule: one for each due time, none for what was
// due before the schedule was first seen or longer ago than start.LateAtMost, and of several that were
// missed the latest only. That a ping comes is no reason for a run, only to look at the schedule
// now; without one it looks by itself when the grace period is over.
type Schedules struct {
	Client   client.Client // its reads come from the cache
	Live     client.Reader
	Settings *settings.Source
	Starts   *starts.Maker
	Events   events.EventRecorder

	now   func() time.Time
	wake  chan event.GenericEvent
	pings *fair.Queue
}

// pingLimits bound the looks that pings cause. Many are due at the same full hour.
var pingLimits = fair.Limits{PerSecond: 5, Burst: 50, TotalPerSecond: 20, TotalBurst: 100, Waiting: 1000}

// SetUp adds it to the manager.
func (l *Schedules) SetUp(mgr ctrl.Manager) error {
	l.now = time.Now
	l.wake = make(chan event.GenericEvent, 1024)
	l.pings = fair.NewQueue(pingLimits)
	handOut := func(ctx context.Context) error {
		l.pings.Run(ctx, l.look)
		return nil
	}
	if err := mgr.Add(manager.RunnableFunc(handOut)); err != nil {
		return fmt.Errorf("queue of pings: %w", err)
	}
	return ctrl.NewControllerManagedBy(mgr).Named("schedules").
		For(&runtimev1.Pipeline{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Channel(l.wake, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: 4, // many are due at the same full hour
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
				200*time.Millisecond, 30*time.Second),
		}).
		Complete(l)
}

// Look says that a ping named the pipeline. It may come from anybody, and all it does is to make
// the controller look. One about a pipeline that is not there or has no schedule costs nothing; the
// others wait their turn.
func (l *Schedules) Look(ctx context.Context, pipeline types.NamespacedName) {
	known := &runtimev1.Pipeline{}
	if err := l.Client.Get(ctx, pipeline, known); err != nil || known.Spec.Schedule == "" {
		return
	}
	l.pings.Add(pipeline)
}

func (l *Schedules) look(pipeline types.NamespacedName) {
	o := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: pipeline.Namespace, Name: pipeline.Name}}
	select {
	case l.wake <- event.GenericEvent{Object: o}:
	default: // so many are waiting that the grace period does as well
	}
}

// Reconcile follows the schedule of one Pipeline until now.
func (l *Schedules) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	p := &runtimev1.Pipeline{}
	// The cache first: a ping's sender may have made the name up.
	err := l.Client.Get(ctx, req.NamespacedName, p)
	if err == nil {
		err = l.Live.Get(ctx, req.NamespacedName, p)
	}
	if err != nil || p.DeletionTimestamp != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	before := p.DeepCopy()
	next, err := l.follow(ctx, p)
	if err != nil {
		return modulerole.Later(ctx, p.Namespace, err)
	}
	if !equality.Semantic.DeepEqual(before.Status, p.Status) {
		err := applyStatus(ctx, l.Client, schedulesOwner, p, runtimev1.PipelineStatus{Schedule: p.Status.Schedule},
			Scheduled)
		if apierrors.IsConflict(err) {
			return reconcile.Result{RequeueAfter: 100 * time.Millisecond}, nil // it is another Pipeline of this name
		}
		if err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
		l.tellMissed(before, p)
		if p.Status.Schedule == nil {
			if err := l.dropOfBefore(ctx, req.NamespacedName); err != nil {
				return reconcile.Result{}, err
			}
		}
	}
	return reconcile.Result{RequeueAfter: next}, nil
}

// tellMissed tells of due times that were passed over, once that is written: nothing else would make
// anybody look at the Pipeline.
func (l *Schedules) tellMissed(before, p *runtimev1.Pipeline) {
	was, is := before.Status.Schedule, p.Status.Schedule
	if is == nil || is.Missed == 0 || was != nil && was.Missed == is.Missed {
		return
	}
	schedulesMissed.Inc()
	l.Events.Eventf(p, nil, corev1.EventTypeWarning, Missed, "Schedule",
		"what was due from %s on was passed over: it could not be started within %s",
		is.LastMissedTime.UTC().Format(time.RFC3339), start.LateAtMost)
}

// dropOfBefore takes away what an earlier release has written into the status of a pipeline that
// has no schedule now: it wrote as another field owner, so that applying nothing leaves it there.
func (l *Schedules) dropOfBefore(ctx context.Context, pipeline types.NamespacedName) error {
	p := &runtimev1.Pipeline{}
	if err := l.Live.Get(ctx, pipeline, p); err != nil || p.Spec.Schedule != "" || p.Status.Schedule == nil {
		return client.IgnoreNotFound(err)
	}
	before := p.DeepCopy()
	p.Status.Schedule = nil
	meta.RemoveStatusCondition(&p.Status.Conditions, Scheduled)
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(l.Client.Status().Patch(ctx, p, patch, schedulesOwner))
}

// follow starts what is due, changes the status, and says after which time to look again; zero is
// never.
func (l *Schedules) follow(ctx context.Context, p *runtimev1.Pipeline) (time.Duration, error) {
	if p.Spec.Schedule == "" {
		p.Status.Schedule = nil
		meta.RemoveStatusCondition(&p.Status.Conditions, Scheduled)
		return 0, nil
	}
	condition := metav1.Condition{Type: Scheduled, Status: metav1.ConditionTrue, Reason: Scheduled,
		ObservedGeneration: p.Generation}
	s, err := schedule.Parse(p.Spec.Schedule, p.Spec.TimeZone)
	if err != nil {
		p.Status.Schedule = nil
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, InvalidSchedule,
			printable.Summary(err.Error(), maxMessage)
		meta.SetStatusCondition(&p.Status.Conditions, condition)
		return 0, nil
	}
	now, grace, log := l.now(), l.Settings.Current().Config.Runs.Grace(), ctrl.LoggerFrom(ctx)
	st, look := start.Follow(s, p.Status.Schedule, p.CreationTimestamp.Time, now)
	if was := p.Status.Schedule; was == nil || was.Line != st.Line {
		meta.SetStatusCondition(&p.Status.Conditions, condition)
	}
	p.Status.Schedule = st
	if !look.Missed.IsZero() {
		condition.Reason, condition.Message = Missed,
			fmt.Sprintf("what was due from %s on was passed over: at that time nobody looked",
				look.Missed.UTC().Format(time.RFC3339))
		log.Info("a scheduled run was missed", "due", look.Missed, "latest", look.Due)
	}
	if !look.Due.IsZero() {
		if err := l.Starts.Due(ctx, p, look.Due); err != nil {
			return 0, err
		}
		if late := now.Sub(look.Due); late >= grace && condition.Reason == Scheduled {
			condition.Reason, condition.Message = GracePeriodOver,
				fmt.Sprintf("the run that was due at %s was started without its ping: none came in time",
					look.Due.UTC().Format(time.RFC3339))
			log.Info("a scheduled run is started without its ping", "due", look.Due, "late", late.String())
		}
		start.Began(st, look.Due)
	}
	if !look.Due.IsZero() || !look.Missed.IsZero() {
		meta.SetStatusCondition(&p.Status.Conditions, condition)
	}
	return again(now, look.Next, grace), nil
}

// again is after which time to look without a ping: when the grace period after the next due time
// is over, or at the due time itself when that is near. What made the controller look now may have
// been the ping, of a clock that is ahead of this one, and it does not come twice.
func again(now, next time.Time, grace time.Duration) time.Duration {
	if next.IsZero() {
		return checkEvery
	}
	d := next.Sub(now)
	if d > grace {
		d += grace
	}
	return max(min(d, checkEvery), 10*time.Millisecond) // clocks are set, so it looks now and then
}
