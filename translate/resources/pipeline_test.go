package resources

import (
	"testing"

	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"

	"github.com/unip-knative/unip/eventing/events"
)

// What Triggers filter for is what is published.
func TestEventTypes(t *testing.T) {
	t.Parallel()
	for here, there := range map[string]string{
		objectCreated: events.ObjectCreated, runRequested: events.RunRequested, stageSucceeded: events.StageSucceeded, stageFailed: events.StageFailed,
		sourcesv1.PingSourceEventType: events.Ping,
	} {
		if here != there {
			t.Errorf("%s, but %s is published", here, there)
		}
	}
}
