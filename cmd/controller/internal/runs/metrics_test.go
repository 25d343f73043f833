package runs

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	life "github.com/unip-knative/unip/eventing/run"
)

// What operators see of runs that wait for storage, and of events that are lost.
func TestMetricsOfRuns(t *testing.T) {
	TermIsOver()
	m := newMemory()
	since := &metav1.MicroTime{Time: time.Now()}
	status := func(st runtimev1.StageStatus) *runtimev1.PipelineRunStatus {
		return &runtimev1.PipelineRunStatus{State: runtimev1.Running, Stages: []runtimev1.StageStatus{st}}
	}
	works := status(runtimev1.StageStatus{State: runtimev1.Running})
	publishes := status(runtimev1.StageStatus{State: runtimev1.Running, Reason: life.ReasonStorageError})
	evicted := status(runtimev1.StageStatus{State: runtimev1.Pending, Reason: life.ReasonEvicted, WaitingSince: since})
	ended := status(runtimev1.StageStatus{State: runtimev1.Failed, Reason: life.ReasonStorageError})
	ended.State = runtimev1.Failed
	one, two := types.NamespacedName{Name: "one"}, types.NamespacedName{Name: "two"}
	want := func(reason string, n float64) {
		t.Helper()
		if got := told(t, "unip_runs_held_up", reason); got != n {
			t.Errorf("%g runs are held up by %s, want %g", got, reason, n)
		}
	}
	for range 2 { // once, however often it is looked at
		m.observeStatus(one, works, publishes)
		m.observeStatus(two, works, evicted)
	}
	want(life.ReasonStorageError, 1)
	want(life.ReasonEvicted, 1)
	m.observeStatus(two, evicted, publishes)
	want(life.ReasonStorageError, 2)
	want(life.ReasonEvicted, 0)
	m.observeStatus(one, publishes, works)
	m.forget(two)
	want(life.ReasonStorageError, 0)
	m.observeStatus(one, works, publishes)
	m.observeStatus(one, publishes, ended)
	want(life.ReasonStorageError, 0)

	before := told(t, "unip_run_events_lost_total", "")
	lost := works.DeepCopy()
	lost.Conditions = []metav1.Condition{{Type: life.ConditionEventsLost, Status: metav1.ConditionTrue}}
	m.observeStatus(one, works, lost)
	m.observeStatus(one, lost, lost)
	if n := told(t, "unip_run_events_lost_total", "") - before; n != 1 {
		t.Errorf("%g runs have lost events, want 1", n)
	}
}

// told is the value of a metric as it is served; label is the value of its only one.
func told(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); len(l) == 0 || l[0].GetValue() == label {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// sum is what a metric, "name" or "name{value of a label}", tells of a pipeline; of a histogram the sum.
func sum(t *testing.T, name, namespace, pipeline string) float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	name, value, of := strings.Cut(strings.TrimSuffix(name, "}"), "{")
	all := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() != name || labels["namespace"] != namespace || labels["pipeline"] != pipeline ||
				of && labels["state"] != value && labels["reason"] != value {
				continue
			}
			all += m.GetCounter().GetValue() + m.GetHistogram().GetSampleSum()
		}
	}
	return all
}
