package resources

import (
	"testing"

	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"

	"github.com/unip-knative/unip/eventing/events"
)

// What a Trigger of a schedule filters for is what Knative's PingSources send.
func TestPingsAreKnatives(t *testing.T) {
	t.Parallel()
	if events.Ping != sourcesv1.PingSourceEventType {
		t.Errorf("%s, but a PingSource sends %s", events.Ping, sourcesv1.PingSourceEventType)
	}
}
