package output

import (
	"fmt"
	"time"
)

// Size is a number of bytes for people, rounded down: to a tenth where a whole unit says little.
func Size(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	tenths := n * 10 >> 10
	if n > 1<<53 {
		tenths = n >> 10 * 10
	}
	i := 0
	for ; tenths >= 10<<10 && i < len(units)-1; i++ {
		tenths >>= 10
	}
	if i < 2 && tenths >= 100 || tenths%10 == 0 { // from GiB on a tenth is much, whatever stands before it
		return fmt.Sprintf("%d %s", tenths/10, units[i])
	}
	return fmt.Sprintf("%d.%d %s", tenths/10, tenths%10, units[i])
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
