package fair

// Turns is the order in which a work queue (client-go's workqueue) hands out items: those of each
// group in the order in which they came, and the groups in turn. So whoever has ten thousand items
// waiting delays another's one by no more than one of them.
type Turns[T comparable] struct {
	group  func(T) string
	groups map[string][]T
	turn   []string // the groups in which something waits; the first is next
	n      int
}

// NewTurns makes one; group says whose an item is.
func NewTurns[T comparable](group func(T) string) *Turns[T] {
	return &Turns[T]{group: group, groups: map[string][]T{}}
}

// Touch is for an item that waits already: it keeps its place.
func (t *Turns[T]) Touch(T) {}

// Push adds an item.
func (t *Turns[T]) Push(item T) {
	g := t.group(item)
	if len(t.groups[g]) == 0 {
		t.turn = append(t.turn, g)
	}
	t.groups[g] = append(t.groups[g], item)
	t.n++
}

// Len is how many items wait.
func (t *Turns[T]) Len() int { return t.n }

// Pop takes the next item; one must be there.
func (t *Turns[T]) Pop() T {
	g := t.turn[0]
	t.turn = t.turn[1:]
	all := t.groups[g]
	item := all[0]
	if all = all[1:]; len(all) > 0 {
		t.groups[g] = all
		t.turn = append(t.turn, g)
	} else {
		delete(t.groups, g)
	}
	t.n--
	return item
}
