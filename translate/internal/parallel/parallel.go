// Package parallel spreads independent work over the processors there are.
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Do does n independent things, as many at a time as there are processors, and waits for all of
// them. The error is that of the first of them, by number, that failed.
func Do(n int, do func(i int) error) error {
	workers := min(runtime.GOMAXPROCS(0), n)
	errs := make([]error, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = do(i)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
