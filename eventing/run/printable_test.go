package run_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/run"
)

// Whoever's words come into a status, they are fit for a terminal.
func TestAStatusIsFitForTerminals(t *testing.T) {
	t.Parallel()
	const hostile = "boo\r\x1b[2Jfake\u202e line"
	fit := func(what string, all ...string) {
		if s := fmt.Sprint(all); strings.ContainsAny(s, "\x1b\r\u202e") || strings.Count(s, `\x1b[2J`) != len(all) {
			t.Errorf("%s: %q", what, s)
		}
	}
	s, _ := run.Step(&runtimev1.PipelineRun{}, run.Seen{Plan: &run.Plan{Refusal: hostile}}, epoch)
	fit("a refusal", s.Message)
	s, _ = run.Step(&runtimev1.PipelineRun{}, run.Seen{Plan: &run.Plan{Kept: hostile,
		Stages: []runtimev1.StageStatus{{Name: "fit"}}}}, epoch)
	conditions := make([]string, 0, len(s.Conditions))
	for _, c := range s.Conditions {
		if c.Message != "" {
			conditions = append(conditions, c.Message)
		}
	}
	if len(conditions) == 0 {
		t.Error("nothing says which variables are elsewhere")
	}
	fit("a condition", conditions...)
	st, _ := take(running(0, 1), run.Attempt{Phase: run.Unplaced, Reason: hostile, Message: hostile}, run.NoCommit,
		time.Second)
	fit("a stage", st.Reason, st.Message)
}
