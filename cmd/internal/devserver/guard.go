package devserver

import (
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/origins"
)

// maxHeader is that of the server in a cluster.
const maxHeader = 64 << 10

// guard lets no web page call: a page of another origin is refused (CSRF), unless it is one of sites,
// and so is a host name that is not of this machine.
func guard(h http.Handler, at net.Addr, hosts []string, sites *origins.Sites) http.Handler {
	return OwnHost(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case sites.Tell(w, r):
		case sites.Check(r) != nil:
			Refuse(w, http.StatusForbidden, "cross-origin", "a web page of another origin calls, which is not let in; the "+
				"annotation origins of the component's APIComponent names those that are")
		default:
			h.ServeHTTP(w, r)
		}
	}), at, hosts)
}

// OwnHost refuses a host name that is not of this machine, for a page can have its own name lead here
// (DNS rebinding). An address in place of a name cannot be rebound: at a loopback address those of
// this machine are taken, with the port, at another one every address. hosts are names that are taken
// besides, at any port.
func OwnHost(h http.Handler, at net.Addr, hosts []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r.Host, at, hosts) {
			Refuse(w, http.StatusMisdirectedRequest, "host",
				"the host of the URL is not this server's: write localhost, 127.0.0.1 or [::1] with the port, or start with "+
					"--allow-host")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func local(host string, at net.Addr, hosts []string) bool {
	name, port, err := net.SplitHostPort(host)
	if err != nil { // without a port
		name, port = strings.Trim(host, "[]"), "80"
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, name) }) {
		return true
	}
	listens, is := at.(*net.TCPAddr)
	if !is {
		return false
	}
	ip := net.ParseIP(name)
	if !listens.IP.IsLoopback() && ip != nil {
		return true
	}
	_, want, err := net.SplitHostPort(at.String())
	return err == nil && port == want && (name == "localhost" || (ip != nil && ip.IsLoopback()))
}
