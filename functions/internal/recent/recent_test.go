package recent

import "testing"

// What was asked for longest ago is forgotten first, and nothing of it is kept.
func TestTheOldestIsForgotten(t *testing.T) {
	t.Parallel()
	m := New[string, int](2)
	m.Put("a", 1)
	m.Put("b", 2)
	if v, ok := m.Get("a"); !ok || v != 1 {
		t.Fatalf("a: %d %v", v, ok)
	}
	m.Put("c", 3)
	m.Put("c", 4)
	for key, want := range map[string]int{"a": 1, "b": 0, "c": 4} {
		if v, ok := m.Get(key); v != want || ok != (want != 0) {
			t.Errorf("%s: %d %v", key, v, ok)
		}
	}
	if m.Len() != 2 || m.order.Len() != 2 {
		t.Errorf("%d entries, %d in order", m.Len(), m.order.Len())
	}
}
