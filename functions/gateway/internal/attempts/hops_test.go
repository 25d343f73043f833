package attempts

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	netheader "knative.dev/networking/pkg/http/header"

	"github.com/unip-knative/unip/eventing/router"
)

// The addresses that callers and proxies of the tests have.
const (
	ann, boris, ingressAddress, activatorAddress = "127.0.0.2", "127.0.0.3", "127.0.1.1", "127.0.2.1"
	routerAddress                                = "127.0.3.1"
)

// from is a client with an address of its own.
func from(t *testing.T, address string) *http.Transport {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	tr := &http.Transport{DialContext: d.DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// knativeProxy is what activator and queue-proxy are made of (knative.dev/serving/pkg/http,
// NewHeaderPruningReverseProxy): with a Director, X-Forwarded-For is appended to.
func knativeProxy(target string) *httputil.ReverseProxy {
	//nolint:staticcheck // as Knative does
	return &httputil.ReverseProxy{Director: func(r *http.Request) { r.URL.Scheme, r.URL.Host = "http", target }}
}

// cluster is what stands before a gateway: an ingress, Knative's activator and its queue-proxy.
type cluster struct {
	hops          *Hops
	awake, asleep string // the ingress, before each
	// The same through the router of one host, behind an ingress that appends or replaces.
	oneAwake, oneAsleep string
}

// forget makes the gateway a new one, which knows where routers are.
func (c *cluster) forget() {
	c.hops = NewHops()
	c.hops.Routers = NewRouters(func(context.Context) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr(routerAddress)}, nil
	})
}

// ways are those to the gateway, by whether it is awake.
func (c *cluster) ways() map[string]string {
	return map[string]string{"asleep": c.asleep, "awake": c.awake, "asleep, one host": c.oneAsleep,
		"awake, one host": c.oneAwake}
}

// routing passes calls on as functions/router does, whose own tests hold it to that.
func routing(t *testing.T, target string) string {
	return serve(t, &httputil.ReverseProxy{Transport: from(t, routerAddress), Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: target})
		all := strings.Split(strings.Join(r.In.Header["X-Forwarded-For"], ","), ",")
		client := strings.TrimSpace(all[len(all)-1])
		r.Out.Header.Del("K-Proxy-Request")
		r.Out.Header.Set("X-Forwarded-For", client)
		r.Out.Header.Set(router.ClientHeader, client)
	}})
}

// ingresses differ in what they do with X-Forwarded-For.
var ingresses = map[string]func(*httputil.ProxyRequest){
	"replaces": func(r *httputil.ProxyRequest) { r.SetXForwarded() }, // e2e's, nginx's
	"appends": func(r *httputil.ProxyRequest) { // Envoy's with use_remote_address
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
		r.SetXForwarded()
	},
	"silent": func(r *httputil.ProxyRequest) { r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"] },
}

func newCluster(t *testing.T, rewrite func(*httputil.ProxyRequest)) *cluster {
	t.Helper()
	c := new(cluster)
	c.forget()
	gateway := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_,
			_ = io.WriteString(w, c.hops.Caller(r))
	}))
	queue := knativeProxy(gateway)
	queueProxy := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		netheader.RewriteHostOut(r)
		queue.ServeHTTP(w, r)
	}))
	forward := knativeProxy(queueProxy)
	forward.Transport = from(t, activatorAddress)
	activate := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		netheader.RewriteHostIn(r)
		r.Header.Set(netheader.ProxyKey, "activator")
		forward.ServeHTTP(w, r)
	}))
	ingress := func(target string) string {
		return serve(t, &httputil.ReverseProxy{Transport: from(t, ingressAddress),
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(&url.URL{Scheme: "http", Host: target})
				rewrite(r)
			}})
	}
	c.awake, c.asleep = ingress(queueProxy), ingress(activate)
	c.oneAwake, c.oneAsleep = ingress(routing(t, c.awake)), ingress(routing(t, c.asleep))
	return c
}

// call is the address that the gateway sees.
func (c *cluster) call(t *testing.T, ingress, address string, header ...string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+ingress, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := from(t, address).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	return string(b)
}

// forged are headers by which boris would be somebody else.
var forged = map[string][]string{
	"the address of ann":   {"X-Forwarded-For", ann},
	"many addresses":       {"X-Forwarded-For", "10.0.0.1, 10.0.0.2", "X-Forwarded-For", ann + ", " + ingressAddress},
	"no address":           {"X-Forwarded-For", "unknown,,"},
	"the activator's word": {"K-Proxy-Request", "activator"},
	"word and address":     {"K-Proxy-Request", "activator", "X-Forwarded-For", ann},
	"word and chain":       {"K-Proxy-Request", "activator", "X-Forwarded-For", ann + ", " + ingressAddress},
	"other headers": {"X-Real-Ip", ann, "Forwarded", "for=" + ann, "True-Client-Ip", ann,
		"X-Envoy-External-Address", ann},
	"the router's word":          {"Unip-Client-Address", ann},
	"the router's word, address": {"Unip-Client-Address", ann, "X-Forwarded-For", routerAddress},
	"the router's word, chain": {"Unip-Client-Address", ann, "X-Forwarded-For", routerAddress + ", " + routerAddress,
		"K-Proxy-Request", "activator"},
	"headers to be dropped": {"Connection", "X-Forwarded-For, K-Proxy-Request", "X-Forwarded-For", ann,
		"K-Proxy-Request", "activator"},
}

func TestTwoCallersAreTwoAddressesWhateverTheyClaim(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"replaces", "appends"} {
		c := newCluster(t, ingresses[kind])
		for mode, ingress := range c.ways() {
			suffix := ""
			if strings.HasPrefix(mode, "asleep") {
				suffix = " by " + ingressAddress
			}
			for _, a := range []string{ann, boris} {
				if got := c.call(t, ingress, a); got != a+suffix {
					t.Errorf("%s, %s: %s is %q", kind, mode, a, got)
				}
			}
		}
		for mode, ingress := range c.ways() {
			want := c.call(t, ingress, boris)
			for name, header := range forged {
				if got := c.call(t, ingress, boris, header...); got != want {
					t.Errorf("%s, %s, %s: boris is %q, want %q", kind, mode, name, got, want)
				}
			}
		}
	}
}

// The first call that a gateway sees may be forged: nobody is taken for somebody else even then.
func TestTheFirstCallClaims(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"replaces", "appends"} {
		for name, header := range forged {
			c := newCluster(t, ingresses[kind])
			for mode, ingress := range c.ways() {
				c.forget()
				before := c.call(t, ingress, boris, header...)
				if victim := c.call(t, ingress, ann); before == victim || victim == "" {
					t.Errorf("%s, %s, %s: boris is %q, ann %q", kind, mode, name, before, victim)
				}
			}
		}
	}
}

// Behind an ingress that appends nothing what stands in the header is a claim.
func TestNoAddressCanBeTold(t *testing.T) {
	t.Parallel()
	c := newCluster(t, ingresses["silent"])
	for _, ingress := range []string{c.asleep, c.awake} {
		c.hops = NewHops()
		if got := c.call(t, ingress, ann); got != "" {
			t.Errorf("ann is %q", got)
		}
		for name, header := range forged {
			if got := c.call(t, ingress, boris, header...); got != "" {
				t.Errorf("%s: boris is %q", name, got)
			}
		}
	}
	c = newCluster(t, ingresses["appends"])
	for _, header := range [][]string{{"Upgrade", "websocket", "Connection", "Upgrade"},
		{"Upgrade", "h2c", "Connection", "Upgrade, X-Forwarded-For, K-Proxy-Request"}} {
		if got := c.call(t, c.asleep, boris, header...); got != "" {
			t.Errorf("%v: %q", header, got)
		}
	}
	if got := NewHops().Caller(httptest.NewRequest(http.MethodGet, "/", nil)); got != "" {
		t.Errorf("without proxies: %q", got)
	}
}

func TestFormsOfAddresses(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]string{
		"2001:db8:1:2:3:4:5:6":         "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::1":         "2001:db8:1:2::/64",
		"[2001:db8:1:2::1]:80":         "2001:db8:1:2::/64",
		"::ffff:192.0.2.1":             "192.0.2.1",
		"192.0.2.1:1234":               "192.0.2.1",
		"fe80::1%eth0":                 "fe80::/64",
		"unknown":                      "",
		"192.0.2.1 x":                  "",
		"::":                           "",
		"0.0.0.0":                      "",
		"1.2.3.4, 192.0.2.1":           "192.0.2.1",
		"\"192.0.2.1\"":                "",
		"192.0.2.1, 10.0.0.9,   ":      "",
		"192.0.2.1,192.0.2.2,10.0.0.8": "10.0.0.8",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["X-Forwarded-For"] = []string{entry + ", 10.0.0.1"}
		if got := NewHops().Caller(r); got != want {
			t.Errorf("%s: %q, want %q", entry, got, want)
		}
	}
}

// The router's pods are looked up when somebody says to be one, seldom, and not believed for long.
func TestRouters(t *testing.T) {
	t.Parallel()
	pod, other := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	now, looks, found, wrong := time.Now(), 0, []netip.Addr{pod}, error(nil)
	r := NewRouters(func(context.Context) ([]netip.Addr, error) {
		looks++
		return found, wrong
	})
	r.now = func() time.Time { return now }
	want := func(a netip.Addr, is bool, after int) {
		t.Helper()
		if got := r.Has(t.Context(), a); got != is || looks != after {
			t.Errorf("%s: %v after %d looks, want %v after %d", a, got, looks, is, after)
		}
	}
	want(pod, true, 1)
	for range 3 {
		want(pod, true, 1)
		want(other, false, 1) // a moment ago there was no such pod
	}
	now = now.Add(askedAgain)
	want(other, false, 2)
	want(pod, true, 2)
	now = now.Add(believed)
	wrong = errors.New("no DNS")
	want(pod, false, 3)
	now = now.Add(askedAgain)
	found, wrong = []netip.Addr{other}, nil
	want(other, true, 4)
	want(pod, false, 4)
}
