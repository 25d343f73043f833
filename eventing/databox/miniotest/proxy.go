//go:build integration

package miniotest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// Fault is what becomes of a request that comes to a Proxy.
type Fault int

// The faults of a storage in trouble.
const (
	None   Fault = iota
	Busy         // it is answered with 503
	Ended        // it is answered as one of a session that is not known any more
	Hang         // nothing is answered, and the connection stays
	Lost         // the server does it, and the connection breaks before the answer
	Half         // half of the answer comes, and then nothing
	Broken       // the connection breaks, and the server never sees it
)

// Proxy stands before a server, and does to requests what a storage in trouble does to them.
type Proxy struct {
	Endpoint string

	mu    sync.Mutex
	fault func(*http.Request) Fault
	seen  []string
}

// Proxy starts one, which at first passes everything on.
func (s *Server) Proxy(t testing.TB) *Proxy {
	t.Helper()
	target, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p, over := &Proxy{}, make(chan struct{})
	server := httptest.NewServer(&way{p, over, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}})
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(over) }) // before that
	p.Endpoint = server.URL
	return p
}

// Fault sets what becomes of each request from now on.
func (p *Proxy) Fault(fault func(*http.Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

// Seen are the methods and paths of the requests since it was last asked.
func (p *Proxy) Seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen
}

func (p *Proxy) of(r *http.Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r.Method+" "+r.URL.Path)
	if p.fault == nil {
		return None
	}
	return p.fault(r)
}

// way is the way of a request through a proxy.
type way struct {
	proxy *Proxy
	over  chan struct{} // the test is
	next  http.Handler
}

func (x *way) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch x.proxy.of(r) {
	case None:
		x.next.ServeHTTP(w, r)
	case Busy:
		refuse(w, http.StatusServiceUnavailable, "SlowDown")
	case Ended:
		refuse(w, http.StatusForbidden, "InvalidAccessKeyId")
	case Hang:
		x.hang(r)
	case Lost:
		x.next.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case Half:
		whole := httptest.NewRecorder()
		x.next.ServeHTTP(whole, r)
		for name, values := range whole.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(whole.Code)
		_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
		_ = http.NewResponseController(w).Flush()
		x.hang(r)
	case Broken:
		panic(http.ErrAbortHandler)
	}
}

func (x *way) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-x.over:
	}
	panic(http.ErrAbortHandler)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("X-Minio-Error-Code", code) // for HEAD
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `<Error><Code>`+code+`</Code><Message>a fault of the test</Message></Error>`)
}
