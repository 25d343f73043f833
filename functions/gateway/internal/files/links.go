package files

import (
	"sync"
	"time"
)

// UsualLinks is how many links of unknown size a user gets unless the installation says otherwise.
const UsualLinks = 10_000

const (
	// minutes is how long a link of unknown size counts: its usual life.
	minutes = int(linkLife / time.Minute)
	// manyUsers is how many users are remembered before those without a living link are forgotten.
	manyUsers = 10_000
)

// Links counts the upload links of unknown size that each user has of each box. S3 bounds no such
// link beforehand, so their number is what bounds how far a box can be filled beyond its capacity.
// One user's links never use up another's.
type Links struct {
	// Most is how many a user gets for a box within an hour; 0 is no bound.
	Most int

	mu sync.Mutex
	of map[holder]*window
}

type holder struct{ user, box string }

// window counts by the minute.
type window struct {
	last  int64 // the newest minute, since 1970
	count [minutes + 1]int
	sum   int
}

// move lets go of what is older than the window.
func (w *window) move(minute int64) {
	for ; w.last < minute && w.sum > 0; w.last++ {
		slot := &w.count[int((w.last+1)%int64(len(w.count)))]
		w.sum -= *slot
		*slot = 0
	}
	w.last = max(w.last, minute)
}

// Take counts one link more. box may be more than a name where links are counted apart. When the
// user has as many as there may be, it does not and reports false.
func (l *Links) Take(user, box string, now time.Time) bool {
	if l == nil || l.Most == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	minute := now.Unix() / 60
	w := l.of[holder{user, box}]
	if w == nil {
		l.forget(minute)
		w = &window{last: minute}
		l.of[holder{user, box}] = w
	}
	w.move(minute)
	if w.sum >= l.Most {
		return false
	}
	w.count[int(minute%int64(len(w.count)))]++
	w.sum++
	return true
}

// forget makes room when there are many.
func (l *Links) forget(minute int64) {
	if l.of == nil {
		l.of = map[holder]*window{}
	}
	if len(l.of) < manyUsers {
		return
	}
	for h, w := range l.of {
		if w.move(minute); w.sum == 0 {
			delete(l.of, h)
		}
	}
}
