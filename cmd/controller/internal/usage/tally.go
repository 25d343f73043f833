package usage

import "time"

// tally is what is known of one box: an exact count, and what notifications have told since.
type tally struct {
	used    int64     // bytes; the count, and the sizes of what has come since
	counted time.Time // when the last count began; zero before the first
	took    time.Duration
	changed bool // something has changed since the last count began
	removed bool // and something was removed, whose size nobody tells
}

const (
	// pause is the shortest time between two counts of a box that changes, and share is how many
	// times longer than a count the pause after it is: counting never takes more than a tenth of
	// the controller's time for a box, however many objects it has.
	pause = 10 * time.Second
	share = 10
)

// created notes an object that has come. When it replaced another one the tally is too high until
// the next count.
func (t *tally) created(size int64) {
	t.used += max(size, 0)
	t.changed = true
}

// gone notes an object that was removed.
func (t *tally) gone() { t.changed, t.removed = true, true }

// begin notes that a count begins. What is told from now on may or may not be in it.
func (t *tally) begin(now time.Time) {
	t.counted, t.changed, t.removed = now, false, false
}

// finish takes the count's result.
func (t *tally) finish(used int64, took time.Duration) { t.used, t.took = used, took }

// due is when to count again: soon after a change, and at least every so often without one.
func (t *tally) due(every time.Duration) time.Time {
	if t.counted.IsZero() {
		return time.Time{}
	}
	d := every
	if t.changed {
		d = pause
	}
	return t.counted.Add(max(d, share*t.took))
}
