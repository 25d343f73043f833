package output_test

import (
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/cmd/unip/internal/output"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/record"
)

// A stage says how it is with it in a line: what it left, what it failed of, or how long it has
// waited for what.
func TestRunTree(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tree := output.RunTree(record.Run{
		ID: "train-1", Pipeline: "train", Status: runtimev1.Running,
		Stages: []record.Stage{
			{Name: "load", Status: runtimev1.Succeeded, Files: 2, Bytes: 2048, WaitedSeconds: 90},
			{Name: "fit", Needs: []string{"load"}, Status: runtimev1.Pending, Reason: "PodLost", Message: "its node",
				WaitingSince: now.Add(-90 * time.Second)},
			{Name: "test", Needs: []string{"load"}, Status: runtimev1.Failed, Reason: "Error", Message: "exit code 1"},
			{Name: "save", Needs: []string{"load"}, Status: runtimev1.Succeeded, Files: 3, Message: "1 copy was not made"},
		},
	}, now)
	for _, want := range []string{
		"+ load", "2 files, 2 KiB", "   . fit", "waits for 1m30s: PodLost: its node", "   x test", "Error: exit code 1",
		"3 files, 0 B; 1 copy was not made",
	} {
		if !strings.Contains(tree, want) {
			t.Errorf("%q is not in\n%s", want, tree)
		}
	}
	if n := strings.Count(tree, "waits"); n != 1 {
		t.Errorf("%d stages wait:\n%s", n, tree)
	}
}
