package start_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/schedule"
	"github.com/unip-knative/unip/eventing/start"
)

// A clock that is set back does not silence a schedule until it has caught up; replicas whose clocks
// differ a little change nothing.
func TestAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	hourly, err := schedule.Parse("0 * * * *", "UTC")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, time.May, 1, 9, 59, 30, 0, time.UTC)
	for ahead, settled := range map[time.Duration]time.Duration{
		24 * time.Hour: 0, 2 * time.Minute: 0, 20 * time.Second: 20 * time.Second, -time.Hour: -time.Hour,
	} {
		was := &runtimev1.ScheduleStatus{Line: hourly.String(), SettledTime: metav1.NewTime(now.Add(ahead))}
		st, look := start.Follow(hourly, was, time.Time{}, now)
		if want := now.Add(settled); !st.SettledTime.Time.Equal(want) || !look.Next.Equal(now.Add(30*time.Second)) {
			t.Errorf("%s ahead: settled at %s, want %s; next at %s", ahead, st.SettledTime, want, look.Next)
		}
		next := now.Add(time.Minute)
		if _, look = start.Follow(hourly, st, time.Time{}, next); look.Due.IsZero() {
			t.Errorf("%s ahead: nothing is due at %s", ahead, next)
		}
	}
}
