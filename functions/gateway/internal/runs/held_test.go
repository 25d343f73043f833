package runs

import "testing"

func TestStreamsAreBoundedForEachUserAndForAll(t *testing.T) {
	t.Parallel()
	var s streams
	var ends []func()
	for i := range streamsOfUser + 1 {
		end, ok := s.take("ann")
		if ok != (i < streamsOfUser) {
			t.Fatalf("stream %d of a user: %t", i, ok)
		}
		if ok {
			ends = append(ends, end)
		}
	}
	for i := range streamsOfAll {
		_, ok := s.take(string(rune('A' + i)))
		if ok != (i < streamsOfAll-streamsOfUser) {
			t.Fatalf("stream %d of other users: %t", i, ok)
		}
	}
	ends[0]()
	if _, ok := s.take("ann"); !ok {
		t.Error("a stream that ended makes no room")
	}
}
