package run_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/unip-knative/unip/eventing/run"
)

func TestOverdue(t *testing.T) {
	t.Parallel()
	const known = run.GraceTaken
	for _, c := range []struct {
		name      string
		taken     time.Duration // after it was due; zero: it is not known to have been taken
		delivered bool
		want      time.Duration
	}{
		{"nobody knows whether it was taken", 0, true, grace},
		{"nobody knows whether it was taken, and a Broker stores it", 0, false, grace},
		{"it was delivered", time.Second, true, time.Second + known},
		{"it was delivered late", grace - time.Second, true, grace},
		{"it was stored", time.Second, false, grace},
		{"it was stored late", grace - time.Second, false, grace},
		{"it was taken long before, by a clock that was set", -time.Hour, true, grace},
		{"it will be taken, by a clock that was set", time.Hour, true, grace},
	} {
		taken := time.Time{}
		if c.taken != 0 {
			taken = epoch.Add(c.taken)
		}
		if got := run.Overdue(epoch, taken, grace, c.delivered).Sub(epoch); got != c.want {
			t.Errorf("%s: after %s, want %s", c.name, got, c.want)
		}
	}
}

// slowBroker is a quiet world whose Broker stores events and takes so long to deliver them.
func slowBroker(seed uint64, slow time.Duration, stores bool) *world {
	return simulate(8*seed, run.Step, func(w *world) { // every eighth is quiet
		w.slow, w.stores = slow, stores
	})
}

func lostEvents(w *world) bool {
	return meta.IsStatusConditionTrue(w.stored().Status.Conditions, run.ConditionEventsLost)
}

// A Broker that stores events, and delivers each slowly but within the grace period, causes no start
// without an event.
func TestASlowBrokerCausesNoNeedlessStarts(t *testing.T) {
	t.Parallel()
	const slow = grace - 2*time.Second
	needless := 0
	for seed := uint64(1); seed <= 500; seed++ {
		if w := slowBroker(seed, slow, true); len(w.wrong) > 0 { // a quiet world tells of lost events, too
			t.Fatalf("seed %d: %v", seed, w.wrong)
		}
		// Whoever takes an event for delivered because it was taken starts stages while it is on its way.
		if lostEvents(slowBroker(seed, slow, false)) {
			needless++
		}
	}
	if needless == 0 {
		t.Error("the events are never so slow that it matters what their being taken means")
	}
}

// One that is slower than the grace period has stages start before their events. These come all the
// same, and start nothing a second time.
func TestAnEventThatComesAfterItsStartStartsNothing(t *testing.T) {
	t.Parallel()
	before := 0
	for seed := uint64(1); seed <= 500; seed++ {
		w := slowBroker(seed, 4*grace, true)
		if len(w.wrong) > 0 {
			t.Fatalf("seed %d: %v", seed, w.wrong)
		}
		for _, st := range w.stored().Status.Stages {
			if st.Attempt != 1 {
				t.Fatalf("seed %d: stage %s has started %d times", seed, st.Name, st.Attempt)
			}
		}
		if lostEvents(w) {
			before++
		}
	}
	if before == 0 {
		t.Error("no event comes after its grace period")
	}
}
