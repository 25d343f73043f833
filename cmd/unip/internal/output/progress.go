package output

import (
	"fmt"
	"io"
	"time"

	"github.com/unip-knative/unip/eventing/printable"
)

// Progress tells on w how far a transfer of total bytes is: at most twice a second, once it takes
// longer than two seconds. What it returns is called with the bytes so far.
func Progress(w io.Writer, name string, total int64) func(int64) {
	began, last := time.Now(), time.Now()
	return func(n int64) {
		now := time.Now()
		if now.Sub(began) < 2*time.Second || (now.Sub(last) < 500*time.Millisecond && n < total) {
			return
		}
		last = now
		rate := float64(n) / now.Sub(began).Seconds()
		fmt.Fprintf(w, "%s: %s of %s, %s/s\n", printable.Line(name), Size(n), Size(total), Size(int64(rate)))
	}
}
