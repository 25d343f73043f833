package run_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/run"
)

// A run that was started without its event says so from the beginning.
func TestARunWithoutItsEventSaysSo(t *testing.T) {
	t.Parallel()
	seen := run.Seen{Plan: &run.Plan{Stages: []runtimev1.StageStatus{{Name: "fit"}}}}
	for what, want := range map[string]bool{"upload of in/a.csv": true, "": false} {
		r := &runtimev1.PipelineRun{}
		r.Annotations = map[string]string{runtimev1.EventLostAnnotation: what}
		status, _ := run.Step(r, seen, time.Now())
		if got := meta.IsStatusConditionTrue(status.Conditions, run.ConditionEventsLost); got != want {
			t.Errorf("%q: EventsLost is %t", what, got)
		}
	}
}
