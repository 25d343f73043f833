package service

import (
	"net/netip"
	"sync"
)

// gates bound the calls that are under way: in all, of one module, and of one address.
type gates struct {
	most, module, address int

	mu        sync.Mutex
	all       int
	modules   map[string]int
	addresses map[netip.Addr]int
}

// newGates: one module has half of all calls, and one address a quarter, so that neither shuts out
// the others.
func newGates(most int) *gates {
	return &gates{most: most, module: max(1, most/2), address: max(1, most/4),
		modules: map[string]int{}, addresses: map[netip.Addr]int{}}
}

// enter lets a call in, and out again. ok is false when there are too many.
func (g *gates) enter(namespace string, from netip.Addr) (leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all >= g.most || g.modules[namespace] >= g.module || from.IsValid() && g.addresses[from] >= g.address {
		return nil, false
	}
	g.all++
	g.modules[namespace]++
	g.addresses[from]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.all--
		if g.modules[namespace]--; g.modules[namespace] == 0 {
			delete(g.modules, namespace)
		}
		if g.addresses[from]--; g.addresses[from] == 0 {
			delete(g.addresses, from)
		}
	}, true
}

func (g *gates) underWay() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all
}
