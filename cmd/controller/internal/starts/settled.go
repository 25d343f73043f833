package starts

import (
	"sync"
	"time"
)

// settled remembers which starts this process has made, or found made, and when it had looked. It
// may forget at any time: that costs a look at S3.
type settled struct {
	mu  sync.Mutex
	all map[settlement]time.Time
}

type settlement struct {
	File
	pipeline, rule string
}

const (
	// rememberStarts is how long a start is remembered. The Broker answers who published the event
	// after it, mostly.
	rememberStarts = time.Minute
	// maxRemembered bounds them: some 4 MiB.
	maxRemembered = 16 << 10
)

func (s *settled) add(f File, rules []rule, looked time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[settlement]time.Time{}
	}
	if len(s.all) >= maxRemembered {
		for k, t := range s.all {
			if looked.Sub(t) > rememberStarts {
				delete(s.all, k)
			}
		}
		if len(s.all) >= maxRemembered {
			clear(s.all)
		}
	}
	for _, r := range rules {
		s.all[settlement{f, r.Pipeline.Name, r.RuleID}] = looked
	}
}

// after reports a start that was made after the time: what a look finds later than that is no older
// than what was told.
func (s *settled) after(x settlement, told time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	looked, ok := s.all[x]
	return ok && !looked.Before(told)
}
