package attempts

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// attempt with a password, and how long it took. Right is right of everybody.
func attempt(t *testing.T, a *Attempts, address, user, password string) (ok bool, took time.Duration, err error) {
	t.Helper()
	start := time.Now()
	ok, err = a.Check(t.Context(), address, user, sha256.Sum256([]byte(user+":"+password)),
		func() (bool, error) { return password == "right", nil })
	return ok, time.Since(start), err
}

// guess n times and be refused each time; how long it took in all.
func guess(t *testing.T, a *Attempts, address, user string, n int) (took time.Duration) {
	t.Helper()
	for i := range n {
		ok, d, err := attempt(t, a, address, user, fmt.Sprint("wrong ", i))
		if ok || err != nil {
			t.Fatalf("guess %d: %v, %v", i, ok, err)
		}
		took += d
	}
	return took
}

func wantDelay(t *testing.T, a *Attempts, address, user string, want time.Duration) {
	t.Helper()
	if ok, took, err := attempt(t, a, address, user, "right"); !ok || err != nil || took != want {
		t.Errorf("%s from %q: %v, %v, took %v, want %v", user, address, ok, err, took, want)
	}
}

func TestGuessingIsSlow(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"192.0.2.1", ""} {
		synctest.Test(t, func(t *testing.T) {
			a := New()
			if took := guess(t, a, address, "ann", free+1); took != 0 {
				t.Errorf("mistyping costs %v", took)
			}
			if took, want := guess(t, a, address, "ann", 96), (1+2+4+93*8)*time.Second; took != want {
				t.Errorf("100 guesses take %v, want %v", took, want)
			}
			wantDelay(t, a, address, "ann", maxDelay)
			wantDelay(t, a, address, "ann", 0) // forgiven
			if took, want := guess(t, a, address, "ann", 4), (1+2+4)*time.Second; took != want {
				t.Errorf("4 more guesses take %v, want %v", took, want)
			}
			time.Sleep(memory)
			wantDelay(t, a, address, "ann", 0)
		})
	}
}

// Whatever a stranger does elsewhere: a user at an address without failures waits for nothing.
func TestACleanAddressIsNeverDelayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New()
		guess(t, a, "192.0.2.66", "ann", 50)
		guess(t, a, "", "ann", 50)
		var strangers sync.WaitGroup
		for i := range 200 {
			strangers.Go(func() { _, _, _ = attempt(t, a, fmt.Sprint("192.0.2.", i%50), "ann", fmt.Sprint(i)) })
		}
		synctest.Wait()
		wantDelay(t, a, "198.51.100.1", "ann", 0)
		strangers.Wait()
		wantDelay(t, a, "198.51.100.1", "ann", 0)
		wantDelay(t, a, "198.51.100.2", "boris", 0)
	})
}

// Guessing from ever new addresses is slowed by the user's count from the second guess of each on.
func TestTheUserIsCountedToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New()
		for i := range 20 {
			guess(t, a, fmt.Sprint("192.0.2.", i), "ann", 1)
		}
		if took := guess(t, a, "192.0.2.1", "ann", 1); took != maxDelay {
			t.Errorf("a second guess takes %v", took)
		}
		if took := guess(t, a, "192.0.2.2", "boris", 1); took != 0 {
			t.Errorf("another user's takes %v", took)
		}
	})
}

// Somebody who logs in all the time does not make guessing at the same address free.
func TestLoggingInForgivesOnlyWhatWasBefore(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"192.0.2.1", ""} {
		synctest.Test(t, func(t *testing.T) {
			a, start := New(), time.Now()
			for range 20 {
				_, _ = a.Check(t.Context(), address, "ann", [32]byte{1}, func() (bool, error) {
					_, _, _ = attempt(t, a, address, "ann", "wrong")
					return true, nil
				})
			}
			if took := time.Since(start); took < 20*time.Second {
				t.Errorf("20 guesses take %v", took)
			}
		})
	}
}

// Guessing the names of users is counted by the address.
func TestNamesAreGuessedSlowly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New()
		var took time.Duration
		for i := range 20 {
			took += guess(t, a, "192.0.2.1", fmt.Sprint("user-", i), 1)
		}
		if want := (1 + 2 + 4 + 13*8) * time.Second; took != want {
			t.Errorf("%v, want %v", took, want)
		}
	})
}

// A whole office has one address. Who has logged in there goes on when somebody guesses others'
// passwords; guessing theirs is slow as well.
func TestWhoIsKnownAtAnAddressGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New()
		wantDelay(t, a, "192.0.2.1", "boris", 0)
		guess(t, a, "192.0.2.1", "ann", 50)
		wantDelay(t, a, "192.0.2.1", "boris", 0)
		wantDelay(t, a, "192.0.2.1", "carla", maxDelay)
		wantDelay(t, a, "192.0.2.1", "carla", 0)
		if took := guess(t, a, "192.0.2.1", "boris", 20); took < 13*maxDelay {
			t.Errorf("20 guesses at a known user take %v", took)
		}
		for range 20 { // logging in oneself gives no new guesses
			wantDelay(t, a, "192.0.2.1", "carla", 0)
		}
		if took := guess(t, a, "192.0.2.1", "ann", 1); took != maxDelay {
			t.Errorf("%v", took)
		}
	})
}

// burst begins n attempts at once and counts those that have been looked at without a delay, and
// those refused.
func burst(t *testing.T, a *Attempts, n int, who func(i int) (address, user, password string)) (atOnce, refused int) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	hold := make(chan struct{})
	for i := range n {
		address, user, password := who(i)
		all.Go(func() {
			_, err := a.Check(t.Context(), address, user, sha256.Sum256([]byte(user+":"+password)),
				func() (bool, error) {
					mu.Lock()
					atOnce++
					mu.Unlock()
					<-hold
					return password == "right", nil
				})
			var busy *BusyError
			if errors.As(err, &busy) {
				mu.Lock()
				refused++
				mu.Unlock()
			}
		})
	}
	synctest.Wait()
	mu.Lock()
	first := atOnce
	mu.Unlock()
	close(hold)
	all.Wait()
	return first, refused
}

func TestParallelGuessesGainNothing(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"192.0.2.1", ""} {
		synctest.Test(t, func(t *testing.T) {
			a := New()
			atOnce, refused := burst(t, a, 1000, func(i int) (string, string, string) {
				return address, "ann",
					fmt.Sprint(i)
			})
			if atOnce != free+1 || refused != 1000-maxGuesses {
				t.Errorf("of one user: %d looked at at once, %d refused", atOnce, refused)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		a := New()
		atOnce, refused := burst(t, a, 10_000,
			func(i int) (string, string, string) { return "192.0.2.1", fmt.Sprint("u", i), "x" })
		if atOnce != crowd+free+1 || refused != 10_000-atOnce-maxDelayedEach {
			t.Errorf("of many users: %d looked at at once, %d refused", atOnce, refused)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a := New()
		atOnce, refused := burst(t, a, 500, func(int) (string, string, string) { return "192.0.2.1", "ann", "right" })
		if atOnce != 500 || refused != 0 {
			t.Errorf("of one password: %d looked at at once, %d refused", atOnce, refused)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New()
		guess(t, a, "192.0.2.1", "ann", 8)
		for i := range 2 * maxRecords {
			guess(t, a, fmt.Sprint("address ", i), fmt.Sprint("user ", i), 1)
			if i%1000 == 0 {
				guess(t, a, "192.0.2.1", "ann", 1) // whom the others do not push out
			}
		}
		if n := a.records.Len(); n != maxRecords {
			t.Errorf("%d records", n)
		}
		if len(a.pending)+len(a.crowds)+len(a.delayed)+a.waiting != 0 {
			t.Errorf("left: %v %v %v %d", a.pending, a.crowds, a.delayed, a.waiting)
		}
		wantDelay(t, a, "192.0.2.1", "ann", maxDelay)
	})
	synctest.Test(t, func(t *testing.T) { // the delays of all addresses together
		a := New()
		for i := range 2 * maxDelayed / maxDelayedEach {
			guess(t, a, fmt.Sprint(i), "x", free+1)
		}
		_, refused := burst(t, a, 2*maxDelayed, func(i int) (string, string, string) {
			return fmt.Sprint(i % (2 * maxDelayed / maxDelayedEach)), fmt.Sprint("u", i), "x"
		})
		if refused != maxDelayed {
			t.Errorf("%d refused", refused)
		}
	})
}

func TestACallThatEndsWaitsNoLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New()
		guess(t, a, "192.0.2.1", "ann", 20)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := a.Check(ctx, "192.0.2.1", "ann", [32]byte{}, func() (bool, error) {
			t.Error("looked at")
			return false, nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || len(a.pending)+a.waiting != 0 {
			t.Errorf("%v, left: %v %d", err, a.pending, a.waiting)
		}
		if _, err := a.Check(t.Context(), "192.0.2.9", "ann", [32]byte{},
			func() (bool, error) { return false, context.Canceled }); err == nil {
			t.Error("no error")
		}
		wantDelay(t, a, "192.0.2.9", "ann", 0) // what was not looked at is no failure
	})
}

func BenchmarkCheck(b *testing.B) {
	a := New()
	for b.Loop() {
		_, _ = a.Check(b.Context(), "192.0.2.1", "ann", [32]byte{1}, func() (bool, error) { return true, nil })
	}
}
