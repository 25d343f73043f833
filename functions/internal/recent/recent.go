// Package recent is a bounded memory: a map that forgets what has not been asked for longest.
package recent

import "container/list"

// Map holds no more entries than it was made for. It is not safe for concurrent use.
type Map[K comparable, V any] struct {
	most  int
	order *list.List // of entry[K, V], the newest in front
	items map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// New is an empty Map of at most that many entries.
func New[K comparable, V any](most int) *Map[K, V] {
	return &Map[K, V]{most, list.New(), map[K]*list.Element{}}
}

// Get gives the value of a key, which is the newest then.
func (r *Map[K, V]) Get(k K) (v V, ok bool) {
	e, ok := r.items[k]
	if !ok {
		return v, false
	}
	r.order.MoveToFront(e)
	return e.Value.(entry[K, V]).value, true // nothing else is put in
}

// Put sets the value of a key, which is the newest then.
func (r *Map[K, V]) Put(k K, v V) {
	if e, ok := r.items[k]; ok {
		e.Value = entry[K, V]{k, v}
		r.order.MoveToFront(e)
		return
	}
	r.items[k] = r.order.PushFront(entry[K, V]{k, v})
	for r.order.Len() > r.most {
		last := r.order.Back()
		delete(r.items, r.order.Remove(last).(entry[K, V]).key) // see above
	}
}

// Len is how many entries there are.
func (r *Map[K, V]) Len() int { return len(r.items) }
