package runs

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/unip-knative/unip/cmd/controller/internal/traces"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	life "github.com/unip-knative/unip/eventing/run"
)

// chapter is a Kubernetes Event of a run. Those of one kind, reason and action within some minutes
// are one, with a count: so the action names the stage, and an attempt that fails again and again
// fills nothing.
type chapter struct {
	warning              bool
	reason, action, note string
}

// maxAction is the longest action that the API server takes.
const maxAction = 128

// story is what a step has changed, as `kubectl describe pipelinerun` tells it.
func story(before, after *runtimev1.PipelineRunStatus) []chapter {
	var out []chapter
	for i := range after.Stages {
		st, was := &after.Stages[i], stageBefore(before, after.Stages[i].Name)
		tell := func(warning bool, reason, words string) {
			action := "Stage-" + st.Name
			if len(action) > maxAction {
				action = action[:maxAction]
			}
			out = append(out, chapter{warning, reason, action, fmt.Sprintf("stage %s: %s", st.Name, words)})
		}
		failed := func(st *runtimev1.StageStatus) string {
			number := max(1, was.Attempt)
			cause := life.FailureText(st, number)
			return strings.TrimSuffix(fmt.Sprintf("attempt %d: %s: %s", number, st.Reason, cause), ": ")
		}
		if was.State == runtimev1.Running && st.State != runtimev1.Succeeded && st.Reason != "" &&
			(st.State == runtimev1.Pending || st.Attempt > was.Attempt) {
			tell(true, "AttemptFailed", failed(st))
		}
		if st.Attempt > was.Attempt && st.State == runtimev1.Running {
			tell(false, "StageStarted", fmt.Sprintf("attempt %d started", st.Attempt))
		}
		if !st.State.Done() || was.State.Done() {
			continue
		}
		switch st.State {
		case runtimev1.Succeeded:
			words := fmt.Sprintf("published %d files, %d bytes", st.Files, st.Bytes)
			if st.StartTime != nil && st.CompletionTime != nil {
				words += fmt.Sprintf(", after %s", st.CompletionTime.Sub(st.StartTime.Time).Round(100*time.Millisecond))
			}
			tell(false, "StageSucceeded", words)
		case runtimev1.Failed:
			tell(true, "StageFailed", failed(st))
		}
	}
	if after.State.Done() && !before.State.Done() {
		words := after.Message
		if words == "" {
			words = "all stages succeeded"
		}
		out = append(out, chapter{after.State == runtimev1.Failed, "Run" + string(after.State), "Reconcile", words})
	}
	return out
}

// tell makes the Events of a step.
func (p *pass) tell(before, after *runtimev1.PipelineRunStatus) {
	for _, c := range story(before, after) {
		kind := corev1.EventTypeNormal
		if c.warning {
			kind = corev1.EventTypeWarning
		}
		p.Events.Eventf(p.run, nil, kind, c.reason, c.action, "%s", c.note)
	}
}

// trace sends the spans of what has ended by a step.
func (p *pass) trace(before, after *runtimev1.PipelineRunStatus) {
	t := p.s3.Config.Tracing
	if p.Traces == nil || !traces.Traced(p.run, t) {
		return
	}
	for i := range after.Stages {
		st := &after.Stages[i]
		if st.State.Done() && !stageBefore(before, st.Name).State.Done() {
			p.Traces.Stage(p.run, st, p.lastPod(st), t)
		}
	}
	if after.State.Done() && !before.State.Done() {
		p.Traces.Run(p.run, t)
	}
}

// lastPod is that of a stage's last attempt, nil when it has gone. A stage fails some steps after its
// attempt has: its commit is closed before.
func (p *pass) lastPod(st *runtimev1.StageStatus) *corev1.Pod {
	if pod := p.pods[st.Job]; pod != nil || st.Job == "" {
		return pod
	}
	_, pod, err := p.attempt(st)
	if err != nil {
		ctrl.LoggerFrom(p.ctx).Info("a stage's containers are not traced", "stage", st.Name, "error", err.Error())
	}
	return pod
}
