package service

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Where a path leads, as it goes over the wire: to which Service with which path, or nowhere.
var ways = []struct{ path, host, want string }{
	{"/pu-ann/leaf/predict", "gateway.pu-ann", ""},
	{"/pu-ann", "gateway.pu-ann", ""},
	{"/pu-ann/", "gateway.pu-ann", ""},
	{"/pu-bob/leaf/predict?a=1;b=%2&c", "dev-gateway.pu-bob", ""},
	{"/pu-ann/files/visitors/a%2Fb/%D0%B0+%20.png", "gateway.pu-ann", ""},
	// What a gateway refuses reaches that gateway only, and as it was sent.
	{"/pu-ann/../pu-bob/leaf/predict", "gateway.pu-ann", ""},
	{"/pu-ann/%2e%2e/pu-bob/leaf/predict", "gateway.pu-ann", ""},
	{"/pu-ann//pu-bob/leaf", "gateway.pu-ann", ""},
	{"/pu-ann/%2Fpu-bob", "gateway.pu-ann", ""},
	{"/pu-ann/..;/pu-bob", "gateway.pu-ann", ""},
	{"/pu-ann/healthz", "gateway.pu-ann", ""},
	// Nowhere.
	{"/", "", ""}, {"//", "", ""}, {"/pu-none/leaf/predict", "", ""}, {"/pu-other/x", "", ""},
	{"//pu-ann/leaf/predict", "", ""}, {"/./pu-ann/leaf", "", ""}, {"/../pu-ann/leaf", "", ""},
	{"/%70u-ann/leaf", "", ""}, {"/pu-ann%2Fleaf", "", ""}, {"/pu-ann%00/leaf", "", ""}, {"/pu-ann%20/leaf", "", ""},
	{"/PU-ANN/leaf", "", ""}, {"/pu-ann./leaf", "", ""}, {"/pu-ann.svc/leaf", "", ""}, {"/leaf.pu-ann/leaf", "", ""},
	{"/pu-ann:80/leaf", "", ""}, {"/pu-ann@pu-bob/leaf", "", ""}, {"/pu-ann;x=1/leaf", "", ""},
	{"/pu-ann\\..\\x", "", ""},
	{"/-pu-ann/leaf", "", ""}, {"/" + strings.Repeat("a", 64) + "/x", "", ""}, {"/ｐu-ann/leaf", "", ""},
	{"/healthz", "", ""}, {"/readyz", "", ""}, {"/metrics", "", ""}, {"/default/kubernetes", "", ""},
	{"/unip-system/x", "", ""}, {"/knative-serving/activator-service", "", ""},
	{"http://leaf.pu-ann.svc.cluster.local/predict", "", ""}, {"http://x/pu-ann/leaf/predict", "gateway.pu-ann",
		"/pu-ann/leaf/predict"},
	{"*", "", ""},
}

func TestWhereAPathLeads(t *testing.T) {
	t.Parallel()
	w := start(t, func(http.ResponseWriter, *http.Request) {})
	for _, c := range ways {
		for _, host := range []string{"unip.example.org", "leaf.pu-bob.svc.cluster.local", "gateway.pu-bob", "x:80"} {
			line := w.raw(t, "GET "+c.path+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
			var to []string
			for _, r := range w.reached() {
				if r.Method != http.MethodHead {
					to = append(to, strings.TrimSuffix(r.Host, ".svc.cluster.local")+" "+r.RequestURI)
				}
			}
			want := c.want
			if want == "" {
				want = c.path
			}
			if c.host != "" && (len(to) != 1 || to[0] != c.host+" "+want) ||
				c.host == "" && (len(to) != 0 || !strings.Contains(line, " 404 ") && !strings.Contains(line, " 400 ") &&
					(c.path != "*" || !strings.Contains(line, " 200 "))) {
				t.Errorf("%s with Host %s: %q, want %q; %s", c.path, host, to, c.host, line)
			}
		}
	}
}

// What is nowhere is answered as a gateway answers what it does not publish.
func TestNowhere(t *testing.T) {
	t.Parallel()
	w := start(t, func(http.ResponseWriter, *http.Request) {})
	want := `{"type":"https://unified-platform.cs.hse.ru/problems/not-found","title":"No such API","status":404,` +
		`"detail":"nothing is published at this path","instance":"/pu-other/x"}`
	resp, body := w.call(t, http.MethodGet, "/pu-other/x", nil)
	if resp.StatusCode != 404 || strings.TrimSpace(body) != want ||
		resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, body := w.call(t, http.MethodGet, "/", nil); resp.StatusCode != 404 || strings.Contains(body, "pu-ann") {
		t.Errorf("the root: %d %s", resp.StatusCode, body)
	}
	if got := w.All(); len(got) != 2 || got[0].Namespace != "pu-ann" || got[0].Components["leaf/tree"] != "tree" {
		t.Errorf("what operators see: %+v", got)
	}
}

func (w *world) All() []Module { return w.Modules.All() }

// Whatever is called, a call goes to the gateway of the namespace that stands first in its path, or
// nowhere.
func FuzzPath(f *testing.F) {
	for _, c := range ways {
		f.Add(c.path, "unip.example.org")
	}
	m := someModules()
	f.Fuzz(func(t *testing.T, path, host string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(
			fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host))))
		if err != nil {
			return
		}
		var asked *http.Request
		h := New(Options{Modules: m, Host: hostOf, MaxCalls: 1, Transport: tripper(
			func(r *http.Request) (*http.Response, error) {
				if r.Method != http.MethodHead {
					asked = r
				}
				return &http.Response{StatusCode: 200, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
			})})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if asked == nil {
			if w.Code != 404 {
				t.Errorf("%q: %d", path, w.Code)
			}
			return
		}
		for namespace, gateway := range map[string]string{"pu-ann": "gateway", "pu-bob": "dev-gateway"} {
			if asked.URL.Host == hostOf(namespace, gateway) {
				p := r.URL.EscapedPath()
				if asked.Host != "" || asked.URL.Scheme != "http" || asked.URL.EscapedPath() != p ||
					p != "/"+namespace && !strings.HasPrefix(p, "/"+namespace+"/") {
					t.Errorf("%q: %s", path, asked.URL)
				}
				return
			}
		}
		t.Errorf("%q goes to %s", path, asked.URL.Host)
	})
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
