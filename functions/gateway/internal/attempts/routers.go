package attempts

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

const (
	// believed is how long a pod that was found is one: the address of one that has ended may
	// become another's.
	believed = 30 * time.Second
	// askedAgain is how soon what was not found is looked up once more.
	askedAgain = time.Second
	// asking bounds one look.
	asking = 2 * time.Second
)

// Routers are the addresses of the router's pods, as the cluster's DNS has them: nobody but the
// operator can write there. They are looked up when somebody says to be one. Routers is safe for
// concurrent use.
type Routers struct {
	look func(context.Context) ([]netip.Addr, error)
	now  func() time.Time

	one sync.Mutex // held while it looks

	mu    sync.Mutex
	found map[netip.Addr]bool
	at    time.Time // when found was
	asked time.Time
}

// NewRouters looks the pods up by a function.
func NewRouters(look func(context.Context) ([]netip.Addr, error)) *Routers {
	return &Routers{look: look, now: time.Now}
}

// Has reports that the address is one of the router's pods.
func (s *Routers) Has(ctx context.Context, a netip.Addr) bool {
	if is, known := s.know(a); known {
		return is
	}
	s.one.Lock()
	defer s.one.Unlock()
	if is, known := s.know(a); known {
		return is
	}
	s.mu.Lock()
	s.asked = s.now()
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), asking)
	defer cancel()
	all, err := s.look(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		slog.Warn("the router's pods cannot be looked up", "error", err)
		return s.found[a] && s.now().Sub(s.at) < believed
	}
	s.found, s.at = map[netip.Addr]bool{}, s.now()
	for _, x := range all {
		s.found[x.Unmap().WithZone("")] = true
	}
	return s.found[a]
}

// know is what has been found. What was not is known for a moment only.
func (s *Routers) know(a netip.Addr) (is, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.found[a] && now.Sub(s.at) < believed {
		return true, true
	}
	return false, now.Sub(s.asked) < askedAgain
}
