package pool

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
)

// reveals are the requests that the supervisor lets this server read something.
type reveals struct {
	one    sync.Mutex // held by who asks
	mu     sync.Mutex
	number int64         // of the last request
	done   chan struct{} // closed when it is done; nil when nobody waits
}

// errSilent: the supervisor does not answer.
var errSilent = errors.New("the function's container does not answer")

// Reveal lets this server, which is another user than the function, read files that the function
// has made for their owner only. Paths are the function's container's; a folder is meant with all
// in it. It waits until that is done, as far as the function's user can do it.
func (p *Pool) Reveal(ctx context.Context, paths []string) error {
	p.reveals.one.Lock()
	defer p.reveals.one.Unlock()
	done := make(chan struct{})
	p.reveals.mu.Lock()
	p.reveals.number++
	number := p.reveals.number
	p.reveals.done = done
	p.reveals.mu.Unlock()
	if err := p.tell(frame.Reveal, map[string]any{"number": number, "paths": paths}); err != nil {
		return err
	}
	timer := time.NewTimer(p.times.news)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return errSilent
	case <-ctx.Done():
		return ctx.Err()
	}
}

// revealed takes note of an answer; one that comes too late is nobody's.
func (p *Pool) revealed(number int64) {
	p.reveals.mu.Lock()
	defer p.reveals.mu.Unlock()
	if number == p.reveals.number && p.reveals.done != nil {
		close(p.reveals.done)
		p.reveals.done = nil
	}
}
