package attempts

import "container/list"

// recent is a map that forgets what has not been asked for longest, once it holds more than most.
type recent[K comparable, V any] struct {
	most  int
	order *list.List // of entry[K, V], the newest in front
	items map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](most int) *recent[K, V] {
	return &recent[K, V]{most, list.New(), map[K]*list.Element{}}
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	e, ok := r.items[k]
	if !ok {
		return v, false
	}
	r.order.MoveToFront(e)
	return e.Value.(entry[K, V]).value, true // nothing else is put in
}

func (r *recent[K, V]) put(k K, v V) {
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
