package runs

import (
	"fmt"
	"net/http"
	"sync"
)

const (
	// streamsOfUser and streamsOfAll bound the logs and events that are streamed at once by one gateway
	// process: each holds a watch or a log of the API server open, for minutes.
	streamsOfUser, streamsOfAll = 20, 200
)

// streams counts those that are open.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[string]int
}

// take reports whether the user may have one more, and how to give it back.
func (s *streams) take(user string) (end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= streamsOfAll || s.of[user] >= streamsOfUser {
		return nil, false
	}
	if s.of == nil {
		s.of = map[string]int{}
	}
	s.all++
	s.of[user]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.of[user]--; s.of[user] == 0 {
			delete(s.of, user)
		}
	}, true
}

// stream takes a stream for a user, or answers that there is none.
func (h *Handler) stream(w http.ResponseWriter, r *http.Request, user string) (end func(), ok bool) {
	if end, ok = h.open.take(user); !ok {
		w.Header().Set("Retry-After", "5")
		fail(w, r, "too-many-streams", http.StatusTooManyRequests, "",
			fmt.Sprintf("too many logs and events are followed at once; a user may follow %d", streamsOfUser))
	}
	return end, ok
}
