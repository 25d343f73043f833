package caller

import (
	"errors"
	"sync"
	"time"
)

const (
	// MaxOnce is how many signatures Once remembers: those of more than 10,000 calls a second for
	// as long as they are good. They take about 40 MB then.
	MaxOnce = 1 << 20
	// slot is the time of expiry that a set of IDs spans. A set is forgotten as a whole.
	slot = 10 * time.Second
)

// Errors of Once.
var (
	// ErrUsed: the signature has been taken before.
	ErrUsed = errors.New("caller signature was used before")
	// ErrFull: it could not be remembered that the signature is taken, so it is not.
	ErrFull = errors.New("too many caller signatures within a minute")
)

// Once takes each signature once. It remembers those that are still good, at most MaxOnce of them:
// when there are more it refuses new ones rather than forget old ones. Its zero value is ready, for
// any number of goroutines: what it does under its lock takes a fraction of a microsecond.
type Once struct {
	mu    sync.Mutex
	taken map[int64]map[ID]struct{} // by the slot in which they expire
	count int
	least int64 // the oldest slot that is not forgotten
	limit int   // 0: MaxOnce
}

// Take takes the signature with these claims of Verify at the time now. The error is ErrUsed,
// ErrFull, or ErrExpired for one that may have been forgotten, which a clock set back can bring.
func (o *Once) Take(c Claims, now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(slotOf(now.Add(-Leeway)))
	s := slotOf(c.Expiry)
	if s < o.least {
		return ErrExpired
	}
	set := o.taken[s]
	if _, used := set[c.ID]; used {
		return ErrUsed
	}
	if o.count >= o.max() {
		return ErrFull
	}
	if set == nil {
		set = map[ID]struct{}{}
		if o.taken == nil {
			o.taken = map[int64]map[ID]struct{}{}
		}
		o.taken[s] = set
	}
	set[c.ID] = struct{}{}
	o.count++
	return nil
}

// forget drops the slots before the given one: Verify refuses their signatures as expired. A clock
// that was ahead by more than an hour, and has been set right, must not stop all calls until then.
func (o *Once) forget(least int64) {
	if least <= o.least && o.least-least < int64(time.Hour/slot) {
		return
	}
	o.least = least
	for s, set := range o.taken {
		if s < least {
			o.count -= len(set)
			delete(o.taken, s)
		}
	}
}

func (o *Once) max() int {
	if o.limit > 0 {
		return o.limit
	}
	return MaxOnce
}

func slotOf(t time.Time) int64 { return t.Unix() / int64(slot/time.Second) }
