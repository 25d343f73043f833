// Package forward passes one call on to an MLComponent's Service and its answer back, both
// streamed.
//
// A component that may be asleep is woken first, and the call is signed only then: a signature does
// not live as long as some cold starts. A call whose signature expires in a queue was not run, and
// is signed and sent again if its body is short.
//
// What goes on: method, upstream path, query, body, and the headers that are the caller's business.
// What does not: the caller's credentials (Authorization, Cookie), anything that claims an identity
// (X-Forwarded-User, Unip-*), Knative's own headers, hop-by-hop headers, upgrades. What is added:
// the signed caller, X-Forwarded-Host, -Proto, -For and -Prefix, and a traceparent if there was
// none.
//
// Guarantees: at most the given number of bytes of a request's body are passed on (then 413); a
// call ends at its deadline (504); a target that does not answer is 503 with Retry-After. A call is
// sent again only when the component has said that it did not run it.
package forward

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/unip-knative/unip/functions/gateway/internal/pace"
	"github.com/unip-knative/unip/functions/internal/content"
	"github.com/unip-knative/unip/functions/internal/problem"
)

const (
	// MaxBody is the usual largest request body in bytes; larger data goes by file.
	MaxBody = 64 << 20
	// MaxEdited is the largest answer in bytes that is changed on its way.
	MaxEdited = 8 << 20
	// retryAfter, in seconds, is what a caller is asked to wait when the target does not answer.
	retryAfter = "1"
)

// Call is where one call goes.
type Call struct {
	// Target is the scheme and host of the Service: http://leaf.ns.svc.cluster.local.
	Target *url.URL
	// Path at the target, Prefix what stood before it in the caller's URL.
	Path, Prefix string
	// Sign makes the value of caller.Header. An error that is a problem.Problem is the answer.
	Sign func() (string, error)
	// Deadline of the whole call.
	Deadline time.Time
	// Edit changes the body of a good answer, of MaxEdited bytes at the most; nil leaves it.
	Edit func(body []byte) ([]byte, error)
}

// Forwarder passes calls on. It is safe for concurrent use.
type Forwarder struct {
	// Patience is how long a call waits while the network says that there is no component.
	Patience time.Duration

	proxy     httputil.ReverseProxy
	transport http.RoundTripper
	maxBody   int64
	kept      atomic.Int64 // bytes of bodies
	sleepers  sleepers
}

// New is a Forwarder over a transport of its own kind (see Transport), of request bodies of up to
// maxBody bytes.
func New(t http.RoundTripper, maxBody int64) *Forwarder {
	f := &Forwarder{
		Patience: Patience, transport: t, maxBody: maxBody,
		sleepers: sleepers{transport: t, now: time.Now, seen: map[string]time.Time{}, asks: map[string]*ask{}},
	}
	f.proxy = httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      sender{f},
		FlushInterval:  -1, // a streamed answer is passed on as it comes
		ErrorHandler:   failed,
		ModifyResponse: explain,
		ErrorLog:       slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	return f
}

// Transport is an HTTP/1 client for Services of the cluster: no proxy, no compression of its own
// (bytes pass as they are). Idle connections are dropped before the other side (ingress, activator)
// does, because a POST on a connection that has just been closed is not sent again.
func Transport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}
}

type callKey struct{}

// state is one call on its way.
type state struct {
	Call
	maxBody  int64
	tooLarge atomic.Bool
	slow     atomic.Bool // the body came too slowly
	body     *body       // nil: none
}

// Forward passes r on and answers it.
func (f *Forwarder) Forward(w http.ResponseWriter, r *http.Request, c Call) {
	if r.ContentLength > f.maxBody {
		tooLarge(w, r, f.maxBody)
		return
	}
	s := &state{Call: c, maxBody: f.maxBody}
	ctx, cancel := context.WithDeadline(context.WithValue(r.Context(), callKey{}, s), c.Deadline)
	defer cancel()
	r = r.WithContext(ctx)
	r.Header = r.Header.Clone()
	r.Header.Del("Upgrade")
	if r.Body != nil && r.Body != http.NoBody {
		s.body = newBody(noted{content.Limited(r.Body, f.maxBody), s}, r.ContentLength, &f.kept)
		defer s.body.release()
	}
	f.proxy.ServeHTTP(w, r)
}

// noted remembers why a body ended: the transport may tell of what followed.
type noted struct {
	io.Reader
	s *state
}

func (b noted) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		b.s.tooLarge.Store(true)
	case errors.Is(err, pace.ErrSlow):
		b.s.slow.Store(true)
	}
	return n, err
}

var (
	dropped         = []string{"Authorization", "Cookie", "X-Real-Ip"}
	droppedPrefixes = []string{"Unip-", "Knative-", "K-", "X-Forwarded-"}
)

func rewrite(p *httputil.ProxyRequest) {
	s, _ := p.In.Context().Value(callKey{}).(*state)
	out := p.Out
	out.URL.Scheme, out.URL.Host = s.Target.Scheme, s.Target.Host
	out.URL.Path, out.URL.RawPath = s.Path, ""
	out.Host = ""
	for _, k := range dropped {
		out.Header.Del(k)
	}
	for k := range out.Header {
		for _, prefix := range droppedPrefixes {
			if strings.HasPrefix(k, prefix) {
				out.Header.Del(k)
			}
		}
	}
	p.SetXForwarded()
	if p.In.Header.Get("X-Forwarded-Proto") == "https" { // TLS ends at the ingress, which alone knows
		out.Header.Set("X-Forwarded-Proto", "https")
	}
	out.Header.Set("X-Forwarded-Prefix", s.Prefix)
	out.Header.Set("Traceparent", p.In.Header.Get("Traceparent")) // set by Trace
}

// propagator reads and writes traceparent (W3C Trace Context).
var propagator = propagation.TraceContext{}

// Trace sees to it that the request has a valid traceparent, and returns its trace id. Where it makes
// one, the given share of traces, 0 to 1, is sampled.
func Trace(r *http.Request, sampled float64) string {
	header := propagation.HeaderCarrier(r.Header)
	if sc := trace.SpanContextFromContext(propagator.Extract(context.Background(), header)); sc.IsValid() {
		return sc.TraceID().String()
	}
	var made trace.SpanContextConfig
	_, _ = rand.Read(made.TraceID[:]) // never fails (crypto/rand)
	_, _ = rand.Read(made.SpanID[:])
	// as OpenTelemetry's TraceIDRatioBased decides
	sample := float64(binary.BigEndian.Uint64(made.TraceID[8:])>>1) < sampled*(1<<63)
	made.TraceFlags = made.TraceFlags.WithSampled(sample)
	r.Header.Del("Tracestate")
	propagator.Inject(trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(made)), header)
	return made.TraceID.String()
}

// failed answers for a call that got no answer.
func failed(w http.ResponseWriter, r *http.Request, err error) {
	s, _ := r.Context().Value(callKey{}).(*state)
	r = problem.At(r, s.Prefix+s.Path) // r is the proxy's, on its way to the component
	var p problem.Problem
	switch {
	case errors.As(err, &p):
		if p.Status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", retryAfter)
		}
		problem.Write(w, r, p)
	case s.tooLarge.Load():
		tooLarge(w, r, s.maxBody)
	case s.slow.Load():
		problem.Answer(w, r, problem.Timeout, http.StatusRequestTimeout, "", "the request's body came too slowly")
	// Only the call's own time counts: a connection that is not made in its few seconds is a
	// DeadlineExceeded too.
	case errors.Is(r.Context().Err(), context.DeadlineExceeded) || errors.Is(err, errNoAnswerInTime):
		problem.Answer(w, r, problem.Timeout, http.StatusGatewayTimeout, "The call took too long",
			"the component did not answer within the API's timeout")
	case errors.Is(r.Context().Err(), context.Canceled):
		panic(http.ErrAbortHandler) // nobody is there to read an answer
	default:
		slog.Warn("target does not answer", "target", s.Target.Host, "error", err)
		unavailable(w, r, "the component does not answer")
	}
}

func tooLarge(w http.ResponseWriter, r *http.Request, limit int64) {
	problem.Answer(w, r, problem.BodyTooLarge, http.StatusRequestEntityTooLarge, "The body is too large",
		fmt.Sprintf("a request's body has at most %d MiB; larger data goes by file", limit>>20))
}

func unavailable(w http.ResponseWriter, r *http.Request, detail string) {
	w.Header().Set("Retry-After", retryAfter)
	problem.Answer(w, r, problem.Unavailable, http.StatusServiceUnavailable, "The component is not available", detail)
}

// errNotTheServer is an answer of something between the gateway and the component (ingress,
// activator, queue-proxy), not of the component.
var errNotTheServer = errors.New("answered by the network, not by the component")

// errNoAnswerInTime is what something between says of a component that was still working.
var errNoAnswerInTime = errors.New("the network did not wait longer for the component")

// explain turns plain answers of what stands between into problems. The component itself answers
// errors as problems, and those pass.
func explain(resp *http.Response) error {
	switch {
	case !between(resp):
	case resp.StatusCode == http.StatusGatewayTimeout:
		return errNoAnswerInTime
	default: // also 404: the ingress does not know the Service (yet)
		return errNotTheServer
	}
	for k := range resp.Header {
		if strings.HasPrefix(k, "Unip-") && k != "Unip-Model-Etag" && k != "Unip-Model-State" {
			resp.Header.Del(k)
		}
	}
	if s, _ := resp.Request.Context().Value(callKey{}).(*state); s != nil && s.Edit != nil &&
		resp.StatusCode == http.StatusOK {
		return edit(resp, s.Edit)
	}
	return nil
}

// edit changes an answer's body. That of a HEAD request has none, and its length is not known.
func edit(resp *http.Response, change func([]byte) ([]byte, error)) error {
	resp.Header.Del("Content-Length")
	resp.ContentLength = -1
	if resp.Request.Method == http.MethodHead {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxEdited+1))
	if err != nil {
		return err
	}
	if len(body) > MaxEdited {
		return fmt.Errorf("an answer of more than %d bytes cannot be changed", MaxEdited)
	}
	if body, err = change(body); err != nil {
		return err
	}
	_ = resp.Body.Close() // read to its end
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}
