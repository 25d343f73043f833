package service

import (
	"net/http"
	"net/netip"
	"strings"
)

// callerOf is the address of who has called the site: what the outermost of the proxies before the
// router has seen, each of which appends to X-Forwarded-For whom it was called by. All before that is
// the caller's claim. Who has come past proxies is known by what those have seen that were on the
// way. It is not valid where it cannot be told.
func callerOf(r *http.Request, proxies int) netip.Addr {
	seen := []string{r.RemoteAddr}
	if proxies > 0 {
		if all := r.Header["X-Forwarded-For"]; len(all) > 0 {
			seen = strings.Split(strings.Join(all, ","), ",")
			seen = seen[max(0, len(seen)-proxies):]
		}
	}
	a, err := parseAddress(strings.TrimSpace(seen[0]))
	if err != nil || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// parseAddress also takes a port, which connections have, and some proxies append.
func parseAddress(s string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a, nil
	}
	p, err := netip.ParseAddrPort(s)
	return p.Addr(), err
}

// host6 is what one caller has of IPv6, who may choose the other bits.
const host6 = 64

// crowd is whom an address stands for.
func crowd(a netip.Addr) netip.Addr {
	if p, err := a.Prefix(host6); err == nil && a.Is6() {
		return p.Addr()
	}
	return a
}
