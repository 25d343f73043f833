package parallel_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/unip-knative/unip/translate/internal/parallel"
)

func TestDo(t *testing.T) {
	t.Parallel()
	var now, most, done atomic.Int64
	third := errors.New("third")
	err := parallel.Do(1000, func(i int) error {
		defer now.Add(-1)
		for n, m := now.Add(1), most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		switch done.Add(1); i {
		case 3:
			return third
		case 900:
			return fmt.Errorf("a later one")
		}
		return nil
	})
	if !errors.Is(err, third) || done.Load() != 1000 || most.Load() > int64(runtime.GOMAXPROCS(0)) {
		t.Errorf("%v after %d of 1000, %d at a time", err, done.Load(), most.Load())
	}
	if err := parallel.Do(0, func(int) error { return third }); err != nil {
		t.Error(err)
	}
}
