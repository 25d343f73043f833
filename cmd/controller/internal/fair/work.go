package fair

import "sync"

// Work is a queue of what workers have to look at, as workqueue's is: what waits already is not
// taken twice, and nothing is handed out while somebody is at it. Owners take turns, and none has
// more than its share of workers at once: however much one of them has to be looked at, and however long
// that takes, another one's waits for little of it.
type Work[T comparable] struct {
	owner func(T) string
	most  int

	mu         sync.Mutex
	news       *sync.Cond
	lines      map[string]*workLine[T]
	turn       []string // the owners that are to get a worker, the next one first
	waiting    int
	dirty      map[T]bool // waits, or is to be looked at again by who is at it
	processing map[T]bool
	ending     bool
}

type workLine[T comparable] struct {
	waiting []T
	busy    int // workers
	inTurn  bool
}

// NewWork makes an empty queue; most is how many workers one owner may have.
func NewWork[T comparable](most int, owner func(T) string) *Work[T] {
	q := &Work[T]{owner: owner, most: most, lines: map[string]*workLine[T]{}, dirty: map[T]bool{},
		processing: map[T]bool{}}
	q.news = sync.NewCond(&q.mu)
	return q
}

// Add lets an item wait for its turn.
func (q *Work[T]) Add(item T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ending || q.dirty[item] {
		return
	}
	q.dirty[item] = true
	if !q.processing[item] {
		q.push(item)
	}
}

func (q *Work[T]) push(item T) {
	owner := q.owner(item)
	l := q.lines[owner]
	if l == nil {
		l = &workLine[T]{}
		q.lines[owner] = l
	}
	l.waiting = append(l.waiting, item)
	q.waiting++
	q.queue(owner, l)
}

// queue gives an owner a turn if it has something to do and may have a worker.
func (q *Work[T]) queue(owner string, l *workLine[T]) {
	if !l.inTurn && len(l.waiting) > 0 && l.busy < q.most {
		l.inTurn = true
		q.turn = append(q.turn, owner)
		if q.ending { // somebody may wait for the end
			q.news.Broadcast()
		} else {
			q.news.Signal()
		}
	}
}

// Get waits for the next item; whoever gets one says when it is Done.
func (q *Work[T]) Get() (item T, shutdown bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.turn) == 0 {
		if q.ending {
			return item, true
		}
		q.news.Wait()
	}
	owner := q.turn[0]
	q.turn = q.turn[1:]
	l := q.lines[owner]
	item = l.waiting[0]
	l.waiting = l.waiting[1:]
	l.busy++
	l.inTurn = false
	q.waiting--
	delete(q.dirty, item)
	q.processing[item] = true
	q.queue(owner, l)
	return item, false
}

// Done says that nobody is at an item any more.
func (q *Work[T]) Done(item T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.processing[item] {
		return
	}
	delete(q.processing, item)
	owner := q.owner(item)
	l := q.lines[owner]
	l.busy--
	if q.dirty[item] {
		q.push(item)
	}
	q.queue(owner, l)
	if l.busy == 0 && len(l.waiting) == 0 {
		delete(q.lines, owner)
	}
	if q.ending && len(q.processing) == 0 {
		q.news.Broadcast()
	}
}

// Len is how many items wait.
func (q *Work[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// ShutDown takes nothing more, and sends the workers home once nothing is to be handed out.
func (q *Work[T]) ShutDown() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ending = true
	q.news.Broadcast()
}

// ShutDownWithDrain does so and waits until nobody is at anything.
func (q *Work[T]) ShutDownWithDrain() {
	q.ShutDown()
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.processing) > 0 {
		q.news.Wait()
	}
}

// ShuttingDown reports that nothing more is taken.
func (q *Work[T]) ShuttingDown() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ending
}
