package check

import (
	"testing"

	"github.com/unip-knative/unip/eventing/databox/needs"
)

// Each need is tried, and nothing is tried that is no need.
func TestEachNeedIsTried(t *testing.T) {
	t.Parallel()
	for _, n := range needs.Needs {
		if tries[n.Name] == nil {
			t.Errorf("%s is not tried", n.Name)
		}
	}
	if len(tries) != len(needs.Needs) {
		t.Errorf("%d tries, %d needs", len(tries), len(needs.Needs))
	}
}
