package service

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/unip-knative/unip/eventing/router"
	"github.com/unip-knative/unip/functions/internal/answered"
	"github.com/unip-knative/unip/functions/internal/problem"
	"github.com/unip-knative/unip/functions/internal/rest"
)

// retryAfter, in seconds, is what a caller is asked to wait when nobody answers.
const retryAfter = "1"

// Options of a router.
type Options struct {
	Modules *Modules
	// Host is that of a Service: gateway.ns.svc.cluster.local.
	Host func(namespace, service string) string
	// Transport to Services. See Transport.
	Transport http.RoundTripper
	// Proxies is how many proxies stand before the router that append to X-Forwarded-For.
	Proxies int
	// MaxCalls is how many calls may be under way.
	MaxCalls int
}

// Router is the handler.
type Router struct {
	Options
	gates   *gates
	waker   *waker
	metrics *metrics
	proxy   httputil.ReverseProxy
}

var _ http.Handler = (*Router)(nil)

// New makes a router.
func New(o Options) *Router {
	h := &Router{Options: o, gates: newGates(o.MaxCalls)}
	h.metrics = newMetrics(h.UnderWay, o.Modules.count)
	h.waker = newWaker(o.Transport, o.Host, h.metrics.woken)
	// Without a FlushInterval the head of an answer waits for the body that comes with it, however busy
	// the machine is; streams, whose length nobody knows, are passed on at once. A proxy before the
	// router that gets an answer before it has sent the body may lose what comes after the head: those
	// in Go close the connection.
	h.proxy = httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      o.Transport,
		BufferPool:     buffers{},
		ModifyResponse: h.look,
		ErrorHandler:   failed,
		ErrorLog:       slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	return h
}

// Transport is an HTTP/1 client for Services of the cluster: no proxy, no compression of its own.
// Idle connections are dropped before the other side does, because a POST on a connection that has
// just been closed is not sent again.
func Transport(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		DialContext:         dial,
		ReadBufferSize:      1 << 10, // more is read at once, past the buffer
		WriteBufferSize:     2 << 10,
		MaxIdleConns:        512,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}
}

// Dial connects to hosts of the cluster's DNS, whose names are whole.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return d.DialContext(ctx, network, net.JoinHostPort(host+".", port))
}

// UnderWay is how many calls are.
func (h *Router) UnderWay() int { return h.gates.underWay() }

// label is the name of a namespace.
var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

type callKey struct{}

// call is one on its way.
type call struct {
	host   string // of the gateway
	client string // the caller's address, "" where it cannot be told
	path          // the component that the path belongs to
	visitor
	body   *rest.Body
	header http.Header // of the answer
}

// ServeHTTP passes a call on.
func (h *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &answered.Writer{ResponseWriter: w}
	defer func() {
		if rec.Status != 0 {
			h.metrics.answered(rec.Status)
		}
	}()
	r = r.WithContext(r.Context()) // a copy, which a Body needs
	body := rest.Of(w, r)
	if body == nil {
		h.route(rec, r, nil)
		return
	}
	connection := http.NewResponseController(w)
	// Else the rest of the body is thrown away when the answer begins.
	_ = connection.EnableFullDuplex() // every connection of HTTP/1 can, and others have no Body
	h.route(rec, r, body)
	if !body.Whole() {
		_ = connection.Flush() // what fails here fails because the connection is gone
		body.Discard()
	}
}

func (h *Router) route(w http.ResponseWriter, r *http.Request, body *rest.Body) {
	namespace, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	var m *target
	if strings.HasPrefix(r.URL.Path, "/") && label.MatchString(namespace) {
		m = h.Modules.find(namespace)
	}
	if m == nil {
		refusing(w, body)
		problem.Answer(w, r, problem.NotFound, http.StatusNotFound, "No such API", "nothing is published at this path")
		return
	}
	client := callerOf(r, h.Proxies)
	c := &call{
		host: h.Host(namespace, m.gateway), path: m.component(rest), visitor: visitor{namespace, crowd(client)},
		body: body,
	}
	if client.IsValid() {
		c.client = client.String()
	}
	leave, ok := h.gates.enter(namespace, c.address)
	if !ok {
		refusing(w, body)
		w.Header().Set("Retry-After", retryAfter)
		problem.Answer(w, r, "overloaded", http.StatusServiceUnavailable, "Too many calls",
			"too many calls are under way: of all, of this module, or from this address")
		return
	}
	defer leave()
	h.waker.wake(r, c.path, c.visitor)
	c.header = w.Header()
	h.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
}

func callOf(r *http.Request) *call {
	c, _ := r.Context().Value(callKey{}).(*call)
	return c
}

func rewrite(p *httputil.ProxyRequest) {
	c, out := callOf(p.In), p.Out
	out.URL.Scheme, out.URL.Host, out.Host = "http", c.host, ""
	out.URL.RawQuery = p.In.URL.RawQuery // also what is no query to Go
	out.Trailer = p.In.Trailer           // which is filled when the body has been read
	if c.body != nil {                   // what comes after it is no connection's to hand over
		out.Header.Del("Upgrade")
		out.Header.Del("Connection")
	}
	drop(out.Header, dropped, droppedPrefixes)
	if c.client != "" {
		out.Header.Set("X-Forwarded-For", c.client)
	}
	out.Header.Set(router.ClientHeader, c.client)
	proto := "http"
	if p.In.TLS != nil || p.In.Header.Get("X-Forwarded-Proto") == "https" { // TLS ends at the ingress, which knows
		proto = "https"
	}
	out.Header.Set("X-Forwarded-Proto", proto)
	out.Header.Set("X-Forwarded-Host", p.In.Host)
}

// errNotTheGateway is an answer of something between the router and the gateway.
var (
	errNotTheGateway = errors.New("answered by the network, not by the gateway")
	errTooLong       = errors.New("the network did not wait longer for the gateway")
)

// look sees an answer before it goes on.
func (h *Router) look(resp *http.Response) error {
	c := callOf(resp.Request)
	if between(resp) {
		if resp.StatusCode == http.StatusGatewayTimeout {
			return errTooLong
		}
		return errNotTheGateway
	}
	last(c.header, c.body)
	switch {
	case c.component == nil:
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden,
		resp.StatusCode == http.StatusTooManyRequests:
		h.waker.refused(c.visitor)
	case resp.StatusCode < http.StatusBadRequest:
		c.answered(h.waker.now())
	}
	confine(resp.Header, c.namespace)
	return nil
}

// between reports an answer of what stands between the router and the gateway (ingress, activator,
// queue-proxy): the gateway itself answers errors as problems.
func between(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return !strings.Contains(resp.Header.Get("Content-Type"), "json")
	default:
		return false
	}
}

// failed answers for a call that got no answer.
func failed(w http.ResponseWriter, r *http.Request, err error) {
	c := callOf(r)
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // nobody is there to read an answer
	}
	broken := c.body != nil && c.body.Broken()
	refusing(w, c.body)
	switch {
	case broken:
		problem.Answer(w, r, problem.BadRequest, http.StatusBadRequest, "", "the body breaks off, or is not HTTP's")
	case errors.Is(err, errTooLong):
		problem.Answer(w, r, problem.Timeout, http.StatusGatewayTimeout, "The call took too long",
			"the module did not answer in time")
	default:
		slog.Warn("the gateway does not answer", "gateway", c.host, "error", err)
		w.Header().Set("Retry-After", retryAfter)
		problem.Answer(w, r, problem.Unavailable, http.StatusServiceUnavailable, "The module is not available",
			"the module's gateway does not answer")
	}
}

// refusing is for an answer of the router's own, which comes after the body.
func refusing(w http.ResponseWriter, body *rest.Body) {
	body.Discard()
	last(w.Header(), body)
}

// last makes a call the last one of its connection when it is answered before its body has come: what
// still comes must not be read as another call, which net/http does once reading has failed.
func last(answer http.Header, body *rest.Body) {
	if body != nil && !body.Whole() {
		answer.Set("Connection", "close")
	}
}

// bufferSize is small, for every call holds a buffer as long as it lasts.
const bufferSize = 4 << 10

var pool = sync.Pool{New: func() any { return new([bufferSize]byte) }}

type buffers struct{}

func (buffers) Get() []byte  { return pool.Get().(*[bufferSize]byte)[:] }
func (buffers) Put(b []byte) { pool.Put((*[bufferSize]byte)(b)) }
