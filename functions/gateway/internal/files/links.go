package files

import (
	"math"
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

// mostGrowth bounds the links whose size is known: so many times its capacity a user may let a box
// grow by them within an hour. What is uploaded, deleted and uploaded again counts each time.
const mostGrowth = 10

// Links counts the upload links that each user has of each box. S3 bounds no link of unknown size
// beforehand, so their number is what bounds how far a box can be filled beyond its capacity. Of
// the others each has fitted when it was made, but not with those that were made before and are
// used later: they are bounded by the sum of their sizes. One user's links never use up another's.
type Links struct {
	// Most is how many of unknown size a user gets for a box within an hour; 0 is no bound, of
	// sizes neither.
	Most int

	mu sync.Mutex
	of map[holder]*window
}

type holder struct{ user, box string }

// window counts by the minute.
type window struct {
	last  int64 // the newest minute, since 1970
	count [minutes + 1]int64
	sum   int64
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
	return l == nil || l.takeOf(holder{user, box}, 1, int64(l.Most), now)
}

// TakeSize counts a link by which a box of that capacity grows by so many bytes, if it is not too
// much.
func (l *Links) TakeSize(user, box string, growth, capacity int64, now time.Time) bool {
	most := int64(math.MaxInt64)
	if capacity < most/mostGrowth {
		most = mostGrowth * capacity
	}
	return l == nil || l.takeOf(holder{user, box + "/size"}, growth, most, now)
}

func (l *Links) takeOf(h holder, n, most int64, now time.Time) bool {
	if l.Most == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	minute := now.Unix() / 60
	w := l.of[h]
	if w == nil {
		l.forget(minute)
		w = &window{last: minute}
		l.of[h] = w
	}
	w.move(minute)
	if n > most-w.sum {
		return false
	}
	w.count[int(minute%int64(len(w.count)))] += n
	w.sum += n
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
