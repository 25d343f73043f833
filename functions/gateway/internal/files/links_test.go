package files

import (
	"fmt"
	"testing"
	"time"
)

func TestLinksOfOneUserNeverUseUpAnothers(t *testing.T) {
	t.Parallel()
	l, now := &Links{Most: 3}, time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for i := range 5 {
		if got := l.Take("ann", "userdata", now.Add(time.Duration(i)*10*time.Minute)); got != (i < 3) {
			t.Errorf("link %d: %v", i, got)
		}
	}
	if !l.Take("bob", "userdata", now) || !l.Take("ann", "other", now) {
		t.Error("another user, or another box, has no link left")
	}
	// The first one has ended after an hour, the second has not.
	later := now.Add(61 * time.Minute)
	if !l.Take("ann", "userdata", later) || l.Take("ann", "userdata", later) {
		t.Error("an hour later there is not exactly one link more")
	}
	// A clock that is set back forgets nothing.
	if l.Take("ann", "userdata", now) {
		t.Error("a link more by a clock that was set back")
	}
	if !l.Take("ann", "userdata", now.Add(24*time.Hour)) {
		t.Error("a day later there is none")
	}
}

func TestLinksForgetUsers(t *testing.T) {
	t.Parallel()
	l, now := &Links{Most: 1}, time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for i := range manyUsers {
		l.Take(fmt.Sprint(i), "box", now)
	}
	l.Take("more", "box", now.Add(2*time.Hour))
	if len(l.of) != 1 {
		t.Errorf("%d users are remembered", len(l.of))
	}
}
