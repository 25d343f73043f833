package runs

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	life "github.com/unip-knative/unip/eventing/run"
)

var (
	stageEventsLost = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "unip_run_events_lost_total",
		Help: "Runs of which the controller did a step without its event, because that had not come in time.",
	})
	runsHeldUp = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "unip_runs_held_up",
		Help: "Runs that wait for what is not their doing, by the reason in the status of their stage.",
	}, []string{"reason"})
)

func init() { metrics.Registry.MustRegister(stageEventsLost, runsHeldUp) }

// TermIsOver forgets what a leader alone tells: the next one does now.
func TermIsOver() {
	waitingRuns.Reset()
	runsHeldUp.Reset()
}

// observeStatus counts what a step has changed.
func (m *memory) observeStatus(run types.NamespacedName, before, after *runtimev1.PipelineRunStatus) {
	lost := func(s *runtimev1.PipelineRunStatus) bool {
		return meta.IsStatusConditionTrue(s.Conditions, life.ConditionEventsLost)
	}
	if lost(after) && !lost(before) {
		stageEventsLost.Inc()
	}
	m.holdUp(run, heldUp(after))
}

// heldUp is why a run waits for what is not its doing, "" when it does not.
func heldUp(s *runtimev1.PipelineRunStatus) string {
	if s.State.Done() {
		return ""
	}
	for i := range s.Stages {
		st := &s.Stages[i]
		if st.WaitingSince != nil || st.State == runtimev1.Running && st.Reason == life.ReasonStorageError {
			return cmp.Or(st.Reason, "Unknown")
		}
	}
	return ""
}

// holdUp remembers why a run is held up, "" for one that is not.
func (m *memory) holdUp(run types.NamespacedName, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.runs[run]; ok || reason != "" {
		m.of(run).hold(reason)
	}
}

// hold keeps the gauge.
func (k *known) hold(reason string) {
	if k.heldUp == reason {
		return
	}
	if k.heldUp != "" {
		runsHeldUp.WithLabelValues(k.heldUp).Dec()
	}
	if reason != "" {
		runsHeldUp.WithLabelValues(reason).Inc()
	}
	k.heldUp = reason
}
