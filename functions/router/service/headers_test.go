package service

import (
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/router"
)

// What only the network may say does not come from callers.
func TestClaimsAreDropped(t *testing.T) {
	t.Parallel()
	w := start(t, func(http.ResponseWriter, *http.Request) {}, func(o *Options) { o.Proxies = 1 })
	claims := []string{
		"K-Proxy-Request", "activator", "K-Network-Hash", "override", "Knative-Serving-Probe", "queue",
		"Knative-Serving-Tag", "x", "k-original-host", "x", "Unip-Caller", "x", "Unip-Client-Address", "10.0.0.1",
		"X-Forwarded-User", "bob", "X-Forwarded-Prefix", "/x", "X-Forwarded-Host", "gateway",
		"X-Forwarded-Proto", "gopher",
		"Forwarded", "for=10.0.0.1", "X-Real-Ip", "10.0.0.1", "X-Envoy-External-Address", "10.0.0.1",
		"X-Envoy-Original-Path", "/x", "X-Envoy-Retry-On", "5xx",
		"X-Forwarded-For", "10.0.0.1, 192.0.2.1", "Connection", "Unip-Client-Address, X-Forwarded-For",
	}
	w.call(t, http.MethodGet, "/pu-ann/x", nil, append(claims, "X-Mine", "1",
		"Authorization", "Basic eA==", "Cookie", "a=b")...)
	all := w.reached()
	if len(all) != 1 {
		t.Fatalf("%d calls", len(all))
	}
	for name, values := range all[0].Header {
		want := map[string]string{
			"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http",
			"X-Forwarded-Host": strings.TrimPrefix(w.URL, "http://"), router.ClientHeader: "192.0.2.1", "X-Mine": "1",
			"Authorization": "Basic eA==", "Cookie": "a=b", "User-Agent": "Go-http-client/1.1",
			"Accept-Encoding": "gzip",
		}[name]
		if len(values) != 1 || values[0] != want {
			t.Errorf("%s: %q, want %q", name, values, want)
		}
	}
	if all[0].Header.Get(router.ClientHeader) == "" {
		t.Error("the gateway is not told who calls")
	}
}

func TestCallerOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		proxies int
		header  []string
		want    string
	}{
		{0, []string{"192.0.2.9"}, "192.0.2.1"},
		{1, nil, "192.0.2.1"},
		{1, []string{"192.0.2.9"}, "192.0.2.9"},
		{1, []string{"10.0.0.1, 192.0.2.9"}, "192.0.2.9"},
		{1, []string{"10.0.0.1", "192.0.2.9:1234"}, "192.0.2.9"},
		{2, []string{"10.0.0.1, 192.0.2.9, 192.0.2.8"}, "192.0.2.9"},
		{2, []string{"192.0.2.8"}, "192.0.2.8"}, // past the outer one
		{1, []string{"192.0.2.9,"}, ""},
		{1, []string{"unknown"}, ""},
		{1, []string{"0.0.0.0"}, ""},
		{1, []string{"::ffff:192.0.2.9"}, "192.0.2.9"},
		{1, []string{"fe80::1%eth0"}, "fe80::1"},
	} {
		r := &http.Request{RemoteAddr: "192.0.2.1:4711", Header: http.Header{"X-Forwarded-For": c.header}}
		got := callerOf(r, c.proxies)
		if (c.want == "") == got.IsValid() || got.IsValid() && got.String() != c.want {
			t.Errorf("%d proxies, %q: %s, want %q", c.proxies, c.header, got, c.want)
		}
	}
	a, b := crowd(netip.MustParseAddr("2001:db8:1:2::1")), crowd(netip.MustParseAddr("2001:db8:1:2:ffff::1"))
	if a != b || a == crowd(netip.MustParseAddr("2001:db8:1:3::1")) {
		t.Errorf("%s %s", a, b)
	}
}

// All modules are one site to a browser. An answer of one does nothing to the others.
func TestAnAnswerIsOfItsModule(t *testing.T) {
	t.Parallel()
	var asked []string
	w := start(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, k := range append(ofTheSite, "X-Accel-Redirect") {
			w.Header().Set(k, "x")
		}
		w.Header().Set("Content-Security-Policy", "default-src *")
		w.Header().Set("Content-Type", "text/html")
		w.Header()["Www-Authenticate"] = asked
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "<script>")
	})
	mine := []string{
		`Basic realm="pu-ann", charset="UTF-8"`,
		`Bearer realm="pu-ann", error="invalid_token", error_description="the token is over"`,
	}
	asked = append([]string{
		`Basic realm="pu-bob"`, `basic realm=pu-bob`, `Basic realm="pu-ann", Basic realm="pu-bob"`,
		`Basic realm="pu-ann" , realm="pu-bob"`, `Basic realm="pu-ann", realm=pu-bob`, `Negotiate`, `Digest realm="pu-ann"`,
		`Basic realm="pu-ann\", x="`,
	}, mine...)
	resp, _ := w.call(t, http.MethodGet, "/pu-ann/x", nil)
	if got := resp.Header["Www-Authenticate"]; !slices.Equal(got, mine) {
		t.Errorf("asks for %q", got)
	}
	if got := resp.Header["Content-Security-Policy"]; !slices.Contains(got, "sandbox") {
		t.Errorf("policy %q", got)
	}
	for _, k := range append(ofTheSite, "X-Accel-Redirect") {
		if resp.Header.Get(k) != "" {
			t.Errorf("%s came through", k)
		}
	}
}

// What the network says in the gateway's place becomes a problem; what the gateway says stays.
func TestAnswersOfTheNetwork(t *testing.T) {
	t.Parallel()
	w := start(t, func(w http.ResponseWriter, r *http.Request) {
		status := map[string]int{"4": 404, "2": 502, "3": 503, "5": 504}[r.URL.Path[len("/pu-ann/"):][:1]]
		if strings.HasSuffix(r.URL.Path, "json") {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"said":"behind"}`)
	})
	for path, want := range map[string]int{"4": 503, "2": 503, "3": 503, "5": 504, "4json": 404, "2json": 502,
		"3json": 503,
		"5json": 504} {
		resp, body := w.call(t, http.MethodGet, "/pu-ann/"+path, nil)
		ours := !strings.Contains(path, "json")
		if resp.StatusCode != want || strings.Contains(body, `"said"`) == ours ||
			resp.Header.Get("Content-Type") != "application/problem+json" ||
			ours && want == 503 && resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v %s", path, resp.StatusCode, resp.Header, body)
		}
	}
}

// Neither one module nor one address takes all calls.
func TestGates(t *testing.T) {
	t.Parallel()
	g := newGates(8)
	ann, bob := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	var leave []func()
	enter := func(namespace string, from netip.Addr, want bool) {
		t.Helper()
		l, ok := g.enter(namespace, from)
		if ok != want {
			t.Errorf("%s from %s: %v", namespace, from, ok)
		}
		if ok {
			leave = append(leave, l)
		}
	}
	for range 2 {
		enter("a", ann, true)
		enter("a", bob, true)
	}
	enter("b", ann, false)
	enter("a", netip.Addr{}, false)
	for range 4 {
		enter("b", netip.Addr{}, true) // whose address cannot be told
	}
	enter("c", netip.MustParseAddr("192.0.2.3"), false)
	for _, l := range leave {
		l()
	}
	if g.underWay() != 0 || len(g.modules)+len(g.addresses) != 0 {
		t.Errorf("left: %+v", g)
	}
	enter("b", ann, true)
}

func TestTooManyCalls(t *testing.T) {
	t.Parallel()
	came, hold := make(chan struct{}), make(chan struct{})
	w := start(t, func(http.ResponseWriter, *http.Request) {
		close(came)
		<-hold
	}, func(o *Options) { o.MaxCalls = 1 })
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.call(t, http.MethodGet, "/pu-ann/x", nil)
	}()
	<-came
	resp, body := w.call(t, http.MethodGet, "/pu-bob/x", nil)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" ||
		!strings.Contains(body, "/overloaded") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	close(hold)
	<-done
}
