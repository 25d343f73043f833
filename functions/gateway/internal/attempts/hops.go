package attempts

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/unip-knative/unip/eventing/router"
	"github.com/unip-knative/unip/functions/internal/recent"
)

const (
	// maxHops is how many proxies are remembered: pods of ingresses and activators, over their
	// restarts.
	maxHops = 1024
	// host6 is what one caller has of IPv6, who may choose the other bits.
	host6 = 64
	// knownHops is how many entries are looked at: activator, ingress, caller.
	knownHops = 3
)

// Hops tells the address of who calls from X-Forwarded-For, to which each proxy appends the address
// that it was called from. From the right: queue-proxy always appends, and before it the activator,
// where it was on the way (it is while the gateway starts, and until there is capacity to spare).
// Neither appends its own address, so behind their entries comes that of the ingress, and left of
// it what the ingress has appended, the caller. All further left is the caller's own claim.
//
// The activator says K-Proxy-Request, and so may a caller: from an address that has also called
// without that word it means nothing. Before such a call was seen an address holds that of the
// ingress too, so that nobody can claim another's. An ingress that appends nothing is found out by
// a call without a claim; behind it no address can be told.
//
// A call through the router of one host comes from one of its pods, which says who has called it.
type Hops struct {
	// Routers are the router's pods; nil: there is none.
	Routers *Routers

	mu sync.Mutex
	// direct are those that called queue-proxy without being an activator, silent those that
	// appended nothing.
	direct, silent *recent.Map[netip.Addr, struct{}]
}

// NewHops knows none yet.
func NewHops() *Hops {
	return &Hops{direct: recent.New[netip.Addr, struct{}](maxHops), silent: recent.New[netip.Addr, struct{}](maxHops)}
}

// Caller is the address that a call comes from, "" when it cannot be told. An IPv6 address stands
// for its /64.
func (h *Hops) Caller(r *http.Request) string {
	if r.Header.Get("Upgrade") != "" {
		return "" // Connection, which then passes ingresses, can make the proxies drop their own headers
	}
	hops := lastHops(r.Header["X-Forwarded-For"])
	if !hops[0].IsValid() {
		return ""
	}
	caller, by := h.last(hops, r)
	if !caller.IsValid() {
		return ""
	}
	if said := r.Header[router.ClientHeader]; len(said) > 0 && h.Routers != nil && h.Routers.Has(r.Context(), caller) {
		if caller = parseAddress(said[len(said)-1]); !caller.IsValid() {
			return ""
		}
	}
	return network(caller) + by
}

// last is the address that the ingress was called from, not valid when it cannot be told, and what
// makes it another one where it could be a claim.
func (h *Hops) last(hops [knownHops]netip.Addr, r *http.Request) (caller netip.Addr, by string) {
	peer := hops[0]
	h.mu.Lock()
	defer h.mu.Unlock()
	activated := r.Header.Get("K-Proxy-Request") == "activator"
	if !activated {
		h.direct.Put(peer, struct{}{})
	} else if _, ok := h.direct.Get(peer); ok {
		activated = false
	}
	ingress, caller := hops[0], hops[1]
	if activated {
		ingress, caller = hops[1], hops[2]
	}
	if _, ok := h.silent.Get(ingress); ok || !ingress.IsValid() || ingress == none {
		return netip.Addr{}, ""
	}
	if caller == none {
		h.silent.Put(ingress, struct{}{})
		return netip.Addr{}, ""
	}
	if activated {
		by = " by " + ingress.String()
	}
	return caller, by
}

// none stands for an entry that is not there; one that is no address is the zero value.
var none = netip.IPv6Unspecified()

// lastHops are the last entries, the last one first.
func lastHops(headers []string) (hops [knownHops]netip.Addr) {
	rest := strings.Join(headers, ",")
	for i := range hops {
		if rest == "" {
			hops[i] = none
			if i == 0 {
				hops[i] = netip.Addr{}
			}
			continue
		}
		at := strings.LastIndexByte(rest, ',')
		hops[i] = parseAddress(strings.TrimSpace(rest[at+1:]))
		rest = rest[:max(at, 0)]
	}
	return hops
}

// parseAddress also takes a port, which some ingresses append.
func parseAddress(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		p, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}
		}
		a = p.Addr()
	}
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

func network(a netip.Addr) string {
	if a.Is6() {
		p, _ := a.Prefix(host6) // never fails: it has 128 bits
		return p.String()
	}
	return a.String()
}
