package service

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/eventing/users"
	"github.com/unip-knative/unip/functions/gateway/internal/files"
	"github.com/unip-knative/unip/functions/gateway/internal/forward"
	"github.com/unip-knative/unip/functions/gateway/internal/openapi"
	"github.com/unip-knative/unip/functions/gateway/internal/pace"
	"github.com/unip-knative/unip/functions/gateway/internal/paths"
	"github.com/unip-knative/unip/functions/internal/answered"
	"github.com/unip-knative/unip/functions/internal/caller"
	"github.com/unip-knative/unip/functions/internal/problem"
	"github.com/unip-knative/unip/functions/internal/rest"
)

// ServeHTTP answers one call: probes, else what is published, else 404.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "ok\n")
		return
	}
	start := time.Now()
	r = r.WithContext(r.Context()) // a copy, which a Body needs
	body := rest.Of(w, r)
	rec := &answered.Writer{ResponseWriter: w, Refusing: body.Discard}
	entry := logEntry{trace: forward.Trace(r, g.sampled)}
	if g.metrics != nil {
		g.metrics.Begin()
	}
	defer func() {
		p := recover()
		if p != nil && p != http.ErrAbortHandler && rec.Status == 0 { //nolint:errorlint // a panic value, never wrapped
			slog.Error("call panicked", "panic", fmt.Sprint(p))
			problem.Answer(rec, r, problem.Internal, http.StatusInternalServerError, "",
				"a mistake of the gateway; its log says more")
			p = nil
		}
		status := rec.Status
		if p != nil {
			status = 499 // the caller went away, or the answer broke off
		}
		took := time.Since(start)
		if g.metrics != nil {
			g.metrics.End(entry.api, r.Method, status, took)
		}
		slog.Info("call", "api", entry.api, "method", r.Method, "path", r.URL.EscapedPath(), "status", status,
			"user", entry.user, "bytes", rec.Bytes, "seconds", took.Seconds(), "trace_id", entry.trace)
		if p != nil {
			panic(p)
		}
	}()
	g.route(rec, r, &entry)
}

// maxHeader bounds a call's line and headers in bytes, as HTTP/1 writes them. The handler answers what
// is a little more, for an answer that net/http gives before it has read all of it is lost on its way
// through proxies. MaxHeader is what the server is to read.
const (
	maxHeader = 32 << 10
	MaxHeader = 4 * maxHeader
)

func headerSize(r *http.Request) int {
	const separators = len(": \r\n")
	n := len(r.Method) + len(r.RequestURI) + len(r.Host)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v) + separators
		}
	}
	return n
}

// logEntry is what the access log says of a call.
type logEntry struct{ api, user, trace string }

func (g *Gateway) route(w http.ResponseWriter, r *http.Request, entry *logEntry) {
	r = pace.Limit(w, r, pace.Pause, pace.Whole)
	if n := headerSize(r); n > maxHeader {
		problem.Answer(w, r, problem.HeaderTooLarge, http.StatusRequestHeaderFieldsTooLarge, "",
			fmt.Sprintf("the call's line and headers have %d bytes, and may have %d", n, maxHeader))
		return
	}
	m, ok := g.table.Find(r.Method, r.URL.EscapedPath())
	if !ok {
		problem.Answer(w, r, problem.NotFound, http.StatusNotFound, "No such API", "nothing is published at this path")
		return
	}
	entry.api = m.API.Name
	if g.table.Origins(m.API).Tell(w, r) {
		return
	}
	if !slices.Contains(m.Methods, r.Method) {
		w.Header().Set("Allow", strings.Join(m.Methods, ", "))
		problem.Answer(w, r, problem.MethodNotAllowed, http.StatusMethodNotAllowed, "",
			"the path has only "+strings.Join(m.Methods, ", "))
		return
	}
	if err := g.table.Origins(m.API).Check(r); err != nil {
		crossOrigin(w, r)
		return
	}
	_, user, ok := g.admit(w, r, m.API)
	if !ok {
		return
	}
	entry.user = user
	if m.Operation == paths.StartNamed {
		if m.API, user, ok = g.ownAPI(w, r, m.Pipeline); !ok {
			return
		}
		entry.api, entry.user, m.Operation = m.API.Name, user, paths.StartRun
	}
	switch m.Operation {
	case paths.ForwardCall:
		g.forwardCall(w, r, m, user, nil)
	case paths.Describe:
		g.describe(w, r, m, user)
	case paths.ServeFile:
		g.files.Serve(w, r, files.Caller{User: owner(m.API, user), Identity: identity(r, m.API, user)}, m.Upstream)
	default:
		g.serveRuns(w, r, m, owner(m.API, user))
	}
}

// ownAPI is the API of a pipeline's own that admits the caller of the general one, and as whom: the
// call is then the same as one of that API. When it answers the call itself, ok is false.
func (g *Gateway) ownAPI(w http.ResponseWriter, r *http.Request, pipeline string) (api routes.API, user string,
	ok bool) {
	own := g.table.APIsOf(pipeline)
	if len(own) == 0 {
		problem.Answer(w, r, problem.NotFound, http.StatusNotFound, "No such API",
			fmt.Sprintf("no API of a pipeline %q is published", pipeline))
		return api, "", false
	}
	if api, user, ok = g.admit(w, r, own...); !ok {
		return api, "", false
	}
	if err := g.table.Origins(api).Check(r); err != nil {
		crossOrigin(w, r)
		return api, "", false
	}
	return api, user, true
}

func crossOrigin(w http.ResponseWriter, r *http.Request) {
	problem.Answer(w, r, problem.CrossOrigin, http.StatusForbidden, "Not from a page of another site",
		"a browser sends this call for a page of another site than the API's")
}

// forwardCall passes a call on to the component, signed. Who calls is the server's to know, whose
// files they are; whether the function may know it too is the API's to say. edit may change the
// answer, nil does not.
func (g *Gateway) forwardCall(w http.ResponseWriter, r *http.Request, m paths.Match, user string,
	edit func([]byte) ([]byte, error),
) {
	deadline := g.now().Add(m.API.Longest())
	g.forward.Forward(w, r, forward.Call{
		Target: g.address(m.API.Target), Path: m.Upstream, Prefix: m.Prefix, Deadline: deadline, Edit: edit,
		Sign: func() (string, error) {
			return g.sign(caller.Claims{
				User: user, Shown: m.API.IdentityPassThrough, Audience: m.API.Target, Method: r.Method,
				Path: m.Upstream,
			})
		},
	})
}

// describe answers with the OpenAPI document of an API. That of a component it has from the component,
// which is the one that knows its function.
func (g *Gateway) describe(w http.ResponseWriter, r *http.Request, m paths.Match, user string) {
	if m.API.Kind != routes.KindMLComponent {
		openapi.Write(w, m.API, m.Prefix)
		return
	}
	g.forwardCall(w, r, m, user, func(document []byte) ([]byte, error) {
		return openapi.Component(document, m.API, m.Prefix)
	})
}

// owner is whose files and runs a call is for: they are always somebody's, on an open API too.
func owner(api routes.API, user string) string {
	if api.Auth == nil {
		return users.Anonymous
	}
	return user
}

// serveRuns answers the operations of pipelines and their runs.
func (g *Gateway) serveRuns(w http.ResponseWriter, r *http.Request, m paths.Match, user string) {
	if g.runs == nil {
		problem.Answer(w, r, problem.Unavailable, http.StatusServiceUnavailable, "",
			"the gateway was started without access to runs")
		return
	}
	switch m.Operation {
	case paths.StartRun:
		g.runs.Start(w, r, user, m.API)
	case paths.ListPipelines:
		g.runs.Pipelines(w, r)
	case paths.ListRuns:
		g.runs.List(w, r, user)
	case paths.GetRun:
		g.runs.Get(w, r, user, m.Run)
	case paths.CancelRun:
		g.runs.Cancel(w, r, user, m.Run)
	case paths.ReadLogs:
		g.runs.Logs(w, r, user, m.Run)
	case paths.WatchRun:
		g.runs.Events(w, r, user, m.Run)
	default: // an operation that is missing here would be a mistake of the gateway
		panic("an operation without an answer")
	}
}
