package service

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// modules of the tests: two with gateways, and one whose Services are prefixed.
func someModules() *Modules {
	m := new(Modules)
	m.Set("pu-ann", []Service{
		{Name: "gateway", Gateway: true},
		{Name: "leaf", Paths: []string{"leaf", "leaf/v2/deep"}, OpenPaths: []string{"open"}},
		{Name: "tree", Paths: []string{"leaf/tree"}},
	})
	m.Set("pu-bob", []Service{{Name: "dev-gateway", Gateway: true}, {Name: "dev-leaf", OpenPaths: []string{"leaf"}}})
	m.Set("pu-none", []Service{{Name: "leaf", OpenPaths: []string{"leaf"}}})
	return m
}

func hostOf(namespace, service string) string {
	return service + "." + namespace + ".svc.cluster.local"
}

// world is a router and what answers behind it, by the Host of calls.
type world struct {
	*Router
	URL string

	mu   sync.Mutex
	seen []*http.Request
}

// start begins a router before a handler that stands for all Services.
func start(t *testing.T, behind http.HandlerFunc, change ...func(*Options)) *world {
	t.Helper()
	w := &world{}
	services := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.seen = append(w.seen, r)
		w.mu.Unlock()
		behind(rw, r)
	}))
	t.Cleanup(services.Close)
	o := optionsTo(services.Listener.Addr().String())
	for _, c := range change {
		c(&o)
	}
	w.Router = New(o)
	s := httptest.NewUnstartedServer(w.Router)
	s.Config = NewServer(w.Router)
	s.Start()
	t.Cleanup(s.Close)
	w.URL = s.URL
	return w
}

func optionsTo(address string) Options {
	d := new(net.Dialer)
	return Options{Modules: someModules(), Host: hostOf, MaxCalls: 4000,
		Transport: Transport(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, address)
		})}
}

// reached are the calls that came to a host, and forgets them.
func (w *world) reached() (all []*http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all, w.seen = w.seen, nil
	return all
}

func (w *world) call(t *testing.T, method, path string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// raw sends bytes, and gives the first line of the answer.
func (w *world) raw(t *testing.T, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, text)
	b, _ := io.ReadAll(c)
	line, _, _ := strings.Cut(string(b), "\r\n")
	return line
}
