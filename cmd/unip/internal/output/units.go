package output

import (
	"fmt"
	"time"
)

// Size is a number of bytes for people, rounded down to a whole unit.
func Size(n int64) string {
	for _, unit := range []string{"B", "KiB", "MiB"} {
		if n < 1<<10 {
			return fmt.Sprintf("%d %s", n, unit)
		}
		n >>= 10
	}
	return fmt.Sprintf("%d GiB", n)
}

// Duration is how long something has lasted that began at from; it ended at to, or goes on now
// where to is zero. It is empty for what has not begun.
func Duration(from, to, now time.Time) string {
	if from.IsZero() {
		return ""
	}
	if to.IsZero() {
		to = now
	}
	return max(to.Sub(from), 0).Round(100 * time.Millisecond).String()
}

// LocalTime is a time in this machine's zone; empty for none.
func LocalTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
