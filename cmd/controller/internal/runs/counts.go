package runs

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	life "github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/stage"
)

// What is told of each pipeline. maxPipelines bounds the series: authors can make pipelines without
// end. Those beyond are counted together, as the pipeline "_other" of no namespace.
const (
	maxPipelines = 2000
	others       = "_other"
)

// lasting are the bounds of what takes from seconds to a day.
var lasting = []float64{1, 3, 10, 30, 60, 300, 900, 3600, 14400, 86400}

var ofPipeline = []string{"namespace", "pipeline"}

func counter(name, help string, more ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, slices.Concat(ofPipeline, more))
}

func histogram(name, help string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: lasting}, ofPipeline)
}

var (
	runsStarted = counter("unip_runs_started_total", "Runs that the controller has taken up.")
	runsEnded   = counter("unip_runs_ended_total", "Runs that have ended, by how.", "state")
	runSeconds  = histogram("unip_run_duration_seconds", "From a run's creation to its end.")
	runWait     = histogram("unip_run_wait_seconds", "From a run's creation to the start of its first stage.")

	stageAttempts = counter("unip_stage_attempts_total", "Attempts of stages that were started.")
	stagesEnded   = counter("unip_stages_ended_total", "Stages that have ended, by why.", "reason")
	stageSeconds  = histogram("unip_stage_duration_seconds", "From the start of a stage's last attempt to its end.")
	stageFetched  = counter("unip_stage_fetched_bytes_total", "Size of the inputs brought to stages, for each attempt.")
	stageBytes    = counter("unip_stage_published_bytes_total", "Size of what stages have published.")
)

func init() {
	metrics.Registry.MustRegister(runsStarted, runsEnded, runSeconds, runWait, stageAttempts, stagesEnded, stageSeconds,
		stageFetched, stageBytes)
}

// series are the pipelines that have some of their own.
type series struct {
	mu    sync.Mutex
	known map[types.NamespacedName]bool
}

var counted = series{known: map[types.NamespacedName]bool{}}

// labels of a run's pipeline.
func (s *series) labels(namespace, pipeline string) (string, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := types.NamespacedName{Namespace: namespace, Name: pipeline}
	if !s.known[key] && len(s.known) >= maxPipelines {
		return "", others
	}
	s.known[key] = true
	return namespace, pipeline
}

// count counts what a step has changed, once its status is stored. pods are those of the attempts that
// ran before it, by Job.
func count(run *runtimev1.PipelineRun, before, after *runtimev1.PipelineRunStatus, pods map[string]*corev1.Pod) {
	ns, name := counted.labels(run.Namespace, run.Spec.Pipeline)
	created := run.CreationTimestamp.Time
	if before.State == "" && after.State != "" {
		runsStarted.WithLabelValues(ns, name).Inc()
	}
	if at, was := begun(after), begun(before); !at.IsZero() && was.IsZero() {
		runWait.WithLabelValues(ns, name).Observe(max(0, at.Sub(created).Seconds()))
	}
	if after.State.Done() && !before.State.Done() {
		runsEnded.WithLabelValues(ns, name, string(after.State)).Inc()
		if end := after.CompletionTime; end != nil {
			runSeconds.WithLabelValues(ns, name).Observe(max(0, end.Sub(created).Seconds()))
		}
	}
	for i := range after.Stages {
		st, was := &after.Stages[i], stageBefore(before, after.Stages[i].Name)
		if n := st.Attempt - was.Attempt; n > 0 {
			stageAttempts.WithLabelValues(ns, name).Add(float64(n))
		}
		if was.State == runtimev1.Running && (st.State != runtimev1.Running || st.Job != was.Job) {
			stageFetched.WithLabelValues(ns, name).Add(float64(fetched(pods[was.Job])))
		}
		if !st.State.Done() || was.State.Done() {
			continue
		}
		stagesEnded.WithLabelValues(ns, name, life.Why(st)).Inc()
		if st.StartTime != nil && st.CompletionTime != nil {
			stageSeconds.WithLabelValues(ns, name).Observe(max(0, st.CompletionTime.Sub(st.StartTime.Time).Seconds()))
		}
		if st.State == runtimev1.Succeeded {
			stageBytes.WithLabelValues(ns, name).Add(float64(st.Bytes))
		}
	}
}

// fetched is how much a pod's fetch says it has brought. Its pod may be gone, and an attempt that only
// completes has none.
func fetched(pod *corev1.Pod) int64 {
	if pod == nil {
		return 0
	}
	if t := terminated(status(pod.Status.InitContainerStatuses, stage.FetchContainer)); t != nil {
		return result(t.Message).Bytes
	}
	return 0
}

// begun is when the first stage of a run has started.
func begun(s *runtimev1.PipelineRunStatus) time.Time {
	var first time.Time
	for i := range s.Stages {
		if at := s.Stages[i].StartTime; at != nil && (first.IsZero() || at.Time.Before(first)) {
			first = at.Time
		}
	}
	return first
}

// stageBefore is a stage as it was; one that was not there has done nothing.
func stageBefore(s *runtimev1.PipelineRunStatus, name string) *runtimev1.StageStatus {
	for i := range s.Stages {
		if s.Stages[i].Name == name {
			return &s.Stages[i]
		}
	}
	return &runtimev1.StageStatus{}
}
