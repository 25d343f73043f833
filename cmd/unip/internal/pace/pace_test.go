package pace

import (
	"math"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

var kept [][]byte

// The test runs itself without GOGC, for what is initialised cannot be initialised again.
func TestPace(t *testing.T) {
	if os.Getenv("PACE_TEST") == "" {
		c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPace$")
		c.Env = []string{"PACE_TEST=1"}
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	collections := func() uint32 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumGC
	}
	grow := func(bytes int) {
		for range bytes >> 16 {
			kept = append(kept, make([]byte, 1<<16))
		}
	}
	grow(Floor / 2)
	if n := collections(); n != 0 {
		t.Errorf("%d collections below the floor", n)
	}
	grow(Floor)
	deadline := time.Now().Add(10 * time.Second)
	for debug.SetMemoryLimit(-1) != math.MaxInt64 && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(usual); limit != math.MaxInt64 ||
		percent != usual {
		t.Errorf("beyond the floor: a limit of %d, %d%%", limit, percent)
	}
	if collections() == 0 {
		t.Error("no collection beyond the floor")
	}
}

func TestEnvironmentIsObeyed(t *testing.T) {
	if os.Getenv("PACE_TEST") == "" {
		for _, set := range []string{"GOGC=70", "GOMEMLIMIT=1GiB"} {
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEnvironmentIsObeyed$")
			c.Env = []string{"PACE_TEST=1", set}
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", set, err, out)
			}
		}
		return
	}
	want, limit := 70, int64(math.MaxInt64)
	if os.Getenv("GOGC") == "" {
		want, limit = 100, 1<<30
	}
	if l, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(want); l != limit || percent != want {
		t.Errorf("a limit of %d, %d%%", l, percent)
	}
}
