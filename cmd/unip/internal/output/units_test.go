package output_test

import (
	"testing"
	"time"

	"github.com/unip-knative/unip/cmd/unip/internal/output"
)

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 5 << 20: "5 MiB",
		1536: "1.5 KiB", 12<<20 + 900<<10: "12 MiB", 7<<30 + 512<<20: "7.5 GiB", 12<<30 + 103<<20: "12.1 GiB",
		1<<30 - 1: "1023 MiB", 3 << 40: "3 TiB", 1<<63 - 1: "8388607.9 TiB"} {
		if got := output.Size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		from, to time.Time
		want     string
	}{
		"not begun":              {time.Time{}, time.Time{}, ""},
		"going on":               {began, time.Time{}, "1m0s"},
		"ended":                  {began, began.Add(1234 * time.Millisecond), "1.2s"},
		"a clock that went back": {began, began.Add(-time.Second), "0s"},
	} {
		if got := output.Duration(c.from, c.to, began.Add(time.Minute)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
