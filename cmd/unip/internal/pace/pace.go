// Package pace holds the garbage collector back until the heap has grown to Floor: a command that
// ends before, as nearly all do, never collects; one that grows beyond goes on as if nothing had
// been.
//
// It does so while it is initialised: Go initialises packages as early as their imports allow, in
// the order of their paths, so this one comes before the schemes of Kubernetes, which alone would
// make the collector run twice. GOGC and GOMEMLIMIT in the environment are obeyed.
package pace

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
)

// Floor is how much memory, in bytes, the Go runtime may hold before the first collection. With the
// program's own pages, some 40 MiB, a run stays near 100 MiB.
const Floor = 56 << 20

// usual is Go's own pace: a collection when the heap has doubled.
const usual = 100

func init() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(Floor)
	// What nobody refers to is found by the first collection.
	first := &struct{ self *int }{}
	runtime.AddCleanup(first, func(percent int) {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(math.MaxInt64)
	}, usual)
}
