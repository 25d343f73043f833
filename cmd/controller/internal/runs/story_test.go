package runs

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	life "github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/stage"
)

// steps are the statuses of a run whose first stage fails once and whose second one for good.
func steps() []*runtimev1.PipelineRunStatus {
	at := func(second int) *metav1.MicroTime {
		return &metav1.MicroTime{Time: time.Unix(1000, 0).Add(time.Duration(second) * time.Second)}
	}
	now := &runtimev1.PipelineRunStatus{}
	all := []*runtimev1.PipelineRunStatus{now}
	step := func(change func(s *runtimev1.PipelineRunStatus)) {
		now = now.DeepCopy()
		change(now)
		all = append(all, now)
	}
	step(func(s *runtimev1.PipelineRunStatus) {
		s.State = runtimev1.Pending
		s.Stages = []runtimev1.StageStatus{{Name: "split", State: runtimev1.Pending},
			{Name: "train", State: runtimev1.Pending}}
	})
	step(func(s *runtimev1.PipelineRunStatus) {
		s.State, s.Stages[0].State = runtimev1.Running, runtimev1.Running
		s.Stages[0].Attempt, s.Stages[0].StartTime, s.Stages[0].Job = 1, at(2), "split-1"
	})
	step(func(s *runtimev1.PipelineRunStatus) {
		s.Stages[0].State = runtimev1.Pending
		s.Stages[0].Reason, s.Stages[0].Message = life.ReasonOOMKilled, "attempt 1 failed: it took too much"
	})
	step(func(s *runtimev1.PipelineRunStatus) {
		s.Stages[0].State, s.Stages[0].Attempt, s.Stages[0].StartTime = runtimev1.Running, 2, at(5)
		s.Stages[0].Job, s.Stages[1].Job = "split-2", "train-1"
		s.Stages[0].Reason, s.Stages[0].Message = "", ""
	})
	step(func(s *runtimev1.PipelineRunStatus) {
		s.Stages[0].State, s.Stages[0].CompletionTime = runtimev1.Succeeded, at(9)
		s.Stages[0].Files, s.Stages[0].Bytes = 3, 70
		s.Stages[1].State, s.Stages[1].Attempt, s.Stages[1].StartTime = runtimev1.Running, 1, at(9)
	})
	step(func(s *runtimev1.PipelineRunStatus) {
		s.Stages[1].State, s.Stages[1].Reason, s.Stages[1].CompletionTime = runtimev1.Failed, "AnyWordOfAPod", at(10)
		s.State, s.Message = runtimev1.Failed, "stage train failed"
		s.CompletionTime = &metav1.Time{Time: at(10).Time}
	})
	step(func(s *runtimev1.PipelineRunStatus) { s.Recorded = true })
	return all
}

func TestStoryOfARun(t *testing.T) {
	t.Parallel()
	var got []chapter
	all := steps()
	for i := range all[1:] {
		got = append(got, story(all[i], all[i+1])...)
	}
	want := []chapter{
		{false, "StageStarted", "Stage-split", "stage split: attempt 1 started"},
		{true, "AttemptFailed", "Stage-split", "stage split: attempt 1: OOMKilled: it took too much"},
		{false, "StageStarted", "Stage-split", "stage split: attempt 2 started"},
		{false, "StageSucceeded", "Stage-split", "stage split: published 3 files, 70 bytes, after 4s"},
		{false, "StageStarted", "Stage-train", "stage train: attempt 1 started"},
		{true, "StageFailed", "Stage-train", "stage train: attempt 1: AnyWordOfAPod"},
		{true, "RunFailed", "Reconcile", "stage train failed"},
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(chapter{})); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	long := &runtimev1.PipelineRunStatus{Stages: []runtimev1.StageStatus{{Name: strings.Repeat("n", 200), Attempt: 1,
		State: runtimev1.Running}}}
	if c := story(&runtimev1.PipelineRunStatus{}, long); len(c) != 1 || len(c[0].action) > maxAction {
		t.Errorf("%+v", c)
	}
}

// podsOf are the pods of the stages that run; fetch has brought so many bytes to each.
func podsOf(s *runtimev1.PipelineRunStatus, bytes int64) map[string]*corev1.Pod {
	pods := map[string]*corev1.Pod{}
	for _, st := range s.Stages {
		if st.State != runtimev1.Running {
			continue
		}
		ended := &corev1.ContainerStateTerminated{Message: string(stage.Result{Files: 1, Bytes: bytes}.Encode())}
		pod := &corev1.Pod{}
		pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: stage.FetchContainer,
			State: corev1.ContainerState{Terminated: ended}}}
		pods[st.Job] = pod
	}
	return pods
}

// A pod that somebody else has made says what it likes, and the counters go on.
func TestImpossibleResults(t *testing.T) {
	t.Parallel()
	for _, message := range []string{`{"bytes":-1}`, `{"files":-1,"bytes":1}`, `{"kept":-1}`, `{"waitedSeconds":-9}`,
		`{"bytes":"x"}`, "", "null"} {
		if r := result(message); r != (stage.Result{}) {
			t.Errorf("%s: %+v", message, r)
		}
	}
}

func TestMetricsOfStages(t *testing.T) {
	run := &runtimev1.PipelineRun{}
	run.Namespace, run.Spec.Pipeline = "counted", "fit"
	run.CreationTimestamp = metav1.Time{Time: time.Unix(1000, 0)}
	all := steps()
	for i := range all[1:] {
		count(run, all[i], all[i+1], podsOf(all[i], 11))
	}
	for name, want := range map[string]float64{
		"unip_runs_started_total": 1, "unip_stage_attempts_total": 3, "unip_stage_published_bytes_total": 70,
		"unip_stage_fetched_bytes_total": 33,
		"unip_run_duration_seconds":      10, "unip_run_wait_seconds": 2, "unip_stage_duration_seconds": 5,
		"unip_runs_ended_total{Failed}": 1, "unip_stages_ended_total{Succeeded}": 1,
		"unip_stages_ended_total{Other}": 1,
	} {
		if got := sum(t, name, "counted", "fit"); got != want {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	for range maxPipelines {
		run.Spec.Pipeline += "x"
		count(run, all[0], all[1], nil)
	}
	if got := sum(t, "unip_runs_started_total", "", others); got == 0 {
		t.Error("pipelines without end have series without end")
	}
}
