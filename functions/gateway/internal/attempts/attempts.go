package attempts

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/unip-knative/unip/functions/internal/recent"
)

const (
	// free failures cost nothing: people mistype.
	free = 3
	// maxDelay is what an attempt waits at most.
	maxDelay = 8 * time.Second
	// memory is how long a failure counts.
	memory = 15 * time.Minute
	// crowd is how many users of one address, such as an office's, may log in for the first time at
	// once without being taken for a guesser of names.
	crowd = 16
	// maxGuesses is how many passwords of one user wait at one address; an honest one has one.
	maxGuesses = 8
	// maxDelayed bounds the attempts that wait, in all; each holds a connection and its call's
	// memory. One address, or one user without, has maxDelayedEach of them.
	maxDelayed, maxDelayedEach = 512, 64
	// maxRecords bounds what is remembered: at most 512 bytes of a user's name each, some MiB.
	maxRecords = 8192
)

// BusyError refuses an attempt that has not been looked at, because too many wait.
type BusyError struct{ After time.Duration }

func (e *BusyError) Error() string { return fmt.Sprintf("too many attempts; try again in %v", e.After) }

// place is a user at an address, or all users of an address, or a user at all addresses.
type place struct{ address, user string }

type record struct {
	failures int
	last     time.Time // failure
	known    bool      // the user has logged in from the address
}

// Attempts counts and delays.
type Attempts struct {
	mu      sync.Mutex
	records *recent.Map[place, record]
	// pending are the passwords, by what stands for them, that are waiting or looked at.
	pending map[place]map[[32]byte]int
	crowds  map[string]int // pending by address
	delayed map[place]int
	waiting int // the sum of delayed
}

// New has seen none yet.
func New() *Attempts {
	return &Attempts{
		records: recent.New[place, record](maxRecords), pending: map[place]map[[32]byte]int{},
		crowds: map[string]int{}, delayed: map[place]int{},
	}
}

// Check verifies a password when its turn has come. The address may be "", where it cannot be told;
// login stands for user and password. The error is a *BusyError, ctx's or verify's, which is no
// failure.
func (a *Attempts) Check(
	ctx context.Context, address, user string, login [32]byte, verify func() (bool, error),
) (bool, error) {
	at := place{address, user}
	delay, failures, err := a.begin(at, login)
	if err != nil {
		return false, err
	}
	defer a.end(at, login)
	if delay > 0 {
		if err := a.wait(ctx, at, delay); err != nil {
			return false, err
		}
	}
	ok, err := verify()
	if err == nil {
		a.count(at, ok, failures)
	}
	return ok, err
}

// begin takes an attempt in and says how long it has to wait, and how often its user has failed
// there before.
func (a *Attempts) begin(at place, login [32]byte) (delay time.Duration, failures int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	logins := a.pending[at]
	others := len(logins)
	if logins[login] > 0 {
		others--
	}
	n := a.failures(at) + others
	if at.address != "" {
		n += max(0, a.crowds[at.address]-crowd)
	}
	delay = delayAfter(n)
	if others >= maxGuesses || (delay > 0 && (a.waiting >= maxDelayed || a.delayed[shared(at)] >= maxDelayedEach)) {
		return 0, 0, &BusyError{max(delay, time.Second)}
	}
	if delay > 0 {
		a.waiting++
		a.delayed[shared(at)]++
	}
	if logins == nil {
		logins = map[[32]byte]int{}
		a.pending[at] = logins
	}
	if logins[login]++; logins[login] == 1 {
		a.crowds[at.address]++
	}
	return delay, a.record(at).failures, nil
}

// wait lets the delay pass, or the call.
func (a *Attempts) wait(ctx context.Context, at place, delay time.Duration) error {
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.waiting--
		decrement(a.delayed, shared(at))
	}()
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Attempts) end(at place, login [32]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	logins := a.pending[at]
	decrement(logins, login)
	if logins[login] == 0 {
		decrement(a.crowds, at.address)
	}
	if len(logins) == 0 {
		delete(a.pending, at)
	}
}

// count remembers how an attempt ended. Who logs in has waited for the failures before, which are
// forgiven then; if others have come meanwhile, they are not, or somebody who logs in all the time
// would make guessing at the same address free.
func (a *Attempts) count(at place, ok bool, failures int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ok {
		r := a.record(at)
		after := record{r.failures, r.last, at.address != ""}
		if r.failures == failures {
			after.failures = min(failures, free)
		}
		if after != r {
			a.records.Put(at, after)
		}
		return
	}
	places := []place{{"", at.user}}
	if at.address != "" {
		places = append(places, at, place{at.address, ""})
	}
	for _, p := range places {
		r := a.record(p)
		r.failures++
		r.last = time.Now()
		a.records.Put(p, r)
	}
}

// failures that an attempt is judged by.
func (a *Attempts) failures(at place) int {
	if at.address == "" {
		return a.record(at).failures
	}
	if own := a.record(at); own.known {
		return own.failures
	}
	n := a.record(place{at.address, ""}).failures
	if n == 0 {
		return 0
	}
	return max(n, a.record(place{"", at.user}).failures)
}

// record of a place, with what is not forgotten yet.
func (a *Attempts) record(p place) record {
	r, _ := a.records.Get(p)
	if r.failures > 0 && time.Since(r.last) >= memory {
		r.failures = 0
	}
	return r
}

// shared is whose delays are bounded together.
func shared(at place) place {
	if at.address == "" {
		return at
	}
	return place{at.address, ""}
}

// delayAfter n failures.
func delayAfter(n int) time.Duration {
	if n <= free {
		return 0
	}
	return min(maxDelay, time.Second<<min(n-free-1, 8))
}

func decrement[K comparable](m map[K]int, k K) {
	if m[k]--; m[k] <= 0 {
		delete(m, k)
	}
}
