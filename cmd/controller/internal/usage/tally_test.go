package usage

import (
	"testing"
	"time"
)

func TestTallyIsCountedAfterAChangeAndNowAndThen(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	every := 10 * time.Minute
	var x tally
	if !x.due(every).IsZero() {
		t.Error("a box that was never counted is not due at once")
	}
	x.begin(now)
	x.finish(100, time.Second)
	if got := x.due(every); got != now.Add(every) {
		t.Errorf("without a change due after %v", got.Sub(now))
	}
	x.created(50)
	x.created(-1)
	if x.used != 150 {
		t.Errorf("used %d before the next count", x.used)
	}
	if got := x.due(every); got != now.Add(pause) {
		t.Errorf("after a change due after %v", got.Sub(now))
	}
	// A box that takes long to count is counted less often.
	x.finish(100, time.Minute)
	if got := x.due(every); got != now.Add(share*time.Minute) {
		t.Errorf("a large box is due after %v", got.Sub(now))
	}
	// What changes while it is counted makes it due again.
	x.begin(now.Add(time.Hour))
	x.gone()
	x.finish(80, time.Second)
	if got := x.due(every); got != now.Add(time.Hour+pause) || x.used != 80 {
		t.Errorf("due %v, used %d", got, x.used)
	}
}
