package runs

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	life "github.com/unip-knative/unip/eventing/run"
)

// admission decides for each pipeline which of its runs may begin: life.Admission, fed by the
// watches and by the passes. Runs that wait are in no queue; it calls them.
type admission struct {
	call func(run types.NamespacedName)

	mu    sync.Mutex
	open  bool // all that is stored is known
	lines map[types.NamespacedName]*line
}

// line is one pipeline.
type line struct {
	life.Admission
	gone bool // there is no such pipeline now; its limit holds for the runs that it has left
}

var waitingRuns = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "unip_runs_waiting",
	Help: "Runs that wait until their pipeline's limit (max-parallel-runs) lets them begin.",
}, []string{"namespace", "pipeline"})

func init() { metrics.Registry.MustRegister(waitingRuns) }

func newAdmission(call func(types.NamespacedName)) *admission {
	return &admission{call: call, lines: map[types.NamespacedName]*line{}}
}

// at does something with a pipeline's line, and calls who may come for it.
func (a *admission) at(namespace, pipeline string, do func(*line)) {
	key := types.NamespacedName{Namespace: namespace, Name: pipeline}
	a.mu.Lock()
	l := a.lines[key]
	if l == nil {
		l = &line{}
		a.lines[key] = l
	}
	before := l.Waiting()
	do(l)
	called := a.calledOf(l)
	if n := l.Waiting(); n != before {
		waitingRuns.WithLabelValues(namespace, pipeline).Set(float64(n))
	}
	if l.gone && l.Runs() == 0 || l.Empty() {
		delete(a.lines, key)
		waitingRuns.DeleteLabelValues(namespace, pipeline)
	}
	a.mu.Unlock()
	for _, name := range called {
		a.call(types.NamespacedName{Namespace: namespace, Name: name})
	}
}

// calledOf are those who may come. Before all that is stored is known nobody may.
func (a *admission) calledOf(l *line) []string {
	if !a.open {
		return nil
	}
	return l.Call()
}

func (a *admission) of(r *runtimev1.PipelineRun, do func(*line, life.Candidate)) {
	a.at(r.Namespace, r.Spec.Pipeline, func(l *line) { do(l, life.CandidateOf(r)) })
}

func (a *admission) stored(r *runtimev1.PipelineRun) {
	a.of(r, func(l *line, c life.Candidate) { l.Stored(c) })
}

func (a *admission) left(r *runtimev1.PipelineRun) {
	a.of(r, func(l *line, c life.Candidate) { l.Gone(c.Name) })
}

// ask reports whether a run whose plan is made may begin.
func (a *admission) ask(r *runtimev1.PipelineRun) (may bool) {
	a.of(r, func(l *line, c life.Candidate) { may = l.Ask(c) })
	return may
}

func (a *admission) wrote(r *runtimev1.PipelineRun) {
	a.of(r, func(l *line, c life.Candidate) { l.Wrote(c) })
}

func (a *admission) failed(r *runtimev1.PipelineRun) {
	a.of(r, func(l *line, c life.Candidate) { l.Failed(c) })
}

func (a *admission) unsure(r *runtimev1.PipelineRun) {
	a.of(r, func(l *line, c life.Candidate) { l.Unsure(c) })
}

func (a *admission) limit(p *runtimev1.Pipeline, gone bool) {
	a.at(p.Namespace, p.Name, func(l *line) {
		l.gone = gone
		l.Limit(p.Spec.MaxParallelRuns)
	})
}

// watched is where a controller of runs hears of runs and of pipelines, and its admission before
// it. Passes begin only when all that is stored has been heard of, so that no new leader admits a
// run before it knows who is under way.
type watched struct {
	*admission
	runs, pipelines source.SyncingSource
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

func newWatched(a *admission, c cache.Cache) *watched {
	look := func(r *runtimev1.PipelineRun, q queue) {
		if !life.Waits(r) {
			q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(r)})
		}
	}
	return &watched{admission: a,
		runs: source.Kind(c, &runtimev1.PipelineRun{},
			handler.TypedFuncs[*runtimev1.PipelineRun, reconcile.Request]{
				CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*runtimev1.PipelineRun], q queue) {
					a.stored(e.Object)
					look(e.Object, q)
				},
				UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*runtimev1.PipelineRun], q queue) {
					if e.ObjectOld.Spec.Pipeline != e.ObjectNew.Spec.Pipeline {
						a.left(e.ObjectOld)
					}
					a.stored(e.ObjectNew)
					look(e.ObjectNew, q)
				},
				DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*runtimev1.PipelineRun], q queue) {
					a.left(e.Object)
					q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(e.Object)})
				},
			}),
		pipelines: source.Kind(c, &runtimev1.Pipeline{},
			handler.TypedFuncs[*runtimev1.Pipeline, reconcile.Request]{
				CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*runtimev1.Pipeline], _ queue) {
					a.limit(e.Object, false)
				},
				UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*runtimev1.Pipeline], _ queue) {
					a.limit(e.ObjectNew, false)
				},
				DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*runtimev1.Pipeline], _ queue) {
					a.limit(e.Object, true)
				},
			}),
	}
}

// Start is the controller's to call.
func (w *watched) Start(ctx context.Context, q queue) error {
	if err := w.pipelines.Start(ctx, q); err != nil {
		return err
	}
	return w.runs.Start(ctx, q)
}

// WaitForSync is the controller's to call before its first pass.
func (w *watched) WaitForSync(ctx context.Context) error {
	for _, s := range []source.SyncingSource{w.pipelines, w.runs} {
		if err := s.WaitForSync(ctx); err != nil {
			return err
		}
	}
	w.mu.Lock()
	w.open = true
	var all []types.NamespacedName
	for pipeline, l := range w.lines {
		for _, name := range l.Call() {
			all = append(all, types.NamespacedName{Namespace: pipeline.Namespace, Name: name})
		}
	}
	w.mu.Unlock()
	for _, run := range all {
		w.call(run)
	}
	return nil
}
