package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/internal/attempts"
	"github.com/unip-knative/unip/functions/gateway/internal/basic"
	"github.com/unip-knative/unip/functions/gateway/internal/bearer"
	"github.com/unip-knative/unip/functions/gateway/internal/files"
	"github.com/unip-knative/unip/functions/gateway/internal/forward"
	"github.com/unip-knative/unip/functions/gateway/internal/pace"
	"github.com/unip-knative/unip/functions/gateway/internal/paths"
	"github.com/unip-knative/unip/functions/gateway/internal/runs"
	"github.com/unip-knative/unip/functions/internal/answered"
	"github.com/unip-knative/unip/functions/internal/caller"
	"github.com/unip-knative/unip/functions/internal/problem"
)

const (
	// keyWait is how long a call waits for the module's key: kubelet brings a Secret that was empty at the gateway's start a moment later.
	keyWait = 15 * time.Second
	keyPoll = 250 * time.Millisecond
	// maxKey bounds the read of the key file.
	maxKey = 4 << 10
)

// gateway is the HTTP face of a module.
type gateway struct {
	namespace, clusterDomain string
	table                    *paths.Table
	users                    *basic.Store
	hops                     *attempts.Hops
	attempts                 *attempts.Attempts // of logging in with a password
	tokens                   *bearer.Checker
	forward                  *forward.Forwarder
	sampled                  float64 // share of the traces that begin here
	files                    *files.Handler
	runs                     *runs.Handler
	keyFile                  string
	now                      func() time.Time
}

// ServeHTTP answers one call: probes, else what is published, else 404.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "ok\n")
		return
	}
	start := time.Now()
	rec := &answered.Writer{ResponseWriter: w}
	entry := call{trace: forward.Trace(r, g.sampled)}
	defer func() {
		p := recover()
		if p != nil && p != http.ErrAbortHandler && rec.Status == 0 { //nolint:errorlint // a panic value, never wrapped
			slog.Error("call panicked", "panic", fmt.Sprint(p))
			problem.Write(rec, r, problem.New(problem.Internal, http.StatusInternalServerError, "", "a mistake of the gateway; its log says more"))
			p = nil
		}
		status := rec.Status
		if p != nil {
			status = 499 // the caller went away, or the answer broke off
		}
		slog.Info("call", "api", entry.api, "method", r.Method, "path", r.URL.EscapedPath(), "status", status, "user", entry.user,
			"bytes", rec.Bytes, "seconds", time.Since(start).Seconds(), "trace_id", entry.trace)
		if p != nil {
			panic(p)
		}
	}()
	g.serve(rec, r, &entry)
}

// call is what the access log says of a call.
type call struct{ api, user, trace string }

func (g *gateway) serve(w http.ResponseWriter, r *http.Request, entry *call) {
	r = pace.Limit(w, r, pace.Pause, pace.Whole)
	m, ok := g.table.Find(r.URL.EscapedPath())
	if !ok {
		problem.Write(w, r, problem.New(problem.NotFound, http.StatusNotFound, "No such API", "nothing is published at this path"))
		return
	}
	entry.api = m.API.Name
	if !slices.Contains(m.Methods, r.Method) {
		w.Header().Set("Allow", strings.Join(m.Methods, ", "))
		problem.Write(w, r, problem.New(problem.MethodNotAllowed, http.StatusMethodNotAllowed, "", "the path has only "+strings.Join(m.Methods, ", ")))
		return
	}
	if err := g.table.CheckOrigin(m.API, r); err != nil {
		problem.Write(w, r, problem.New(problem.CrossOrigin, http.StatusForbidden, "Not from a page of another site",
			"a browser sends this call for a page of another site than the API's"))
		return
	}
	user, ok := g.authenticate(w, r, m.API)
	if !ok {
		return
	}
	entry.user = user
	switch m.Operation {
	case paths.ForwardCall:
		g.forwardCall(w, r, m, user)
	case paths.ServeFile:
		g.files.Serve(w, r, owner(m.API, user), m.Upstream)
	default:
		g.serveRuns(w, r, m, owner(m.API, user))
	}
}

// forwardCall passes a call on to the component, signed.
func (g *gateway) forwardCall(w http.ResponseWriter, r *http.Request, m paths.Match, user string) {
	if !m.API.IdentityPassThrough {
		user = ""
	}
	deadline := g.now().Add(m.API.Longest())
	host := m.API.Target + "." + g.namespace + ".svc." + g.clusterDomain
	g.forward.Forward(w, r, forward.Call{
		Target: &url.URL{Scheme: "http", Host: host}, Path: m.Upstream, Prefix: m.Prefix, Deadline: deadline,
		Sign: func(ctx context.Context) (string, error) {
			return g.sign(ctx, caller.Claims{User: user, Audience: m.API.Target, Method: r.Method, Path: m.Upstream})
		},
	})
}

// owner is whose files and runs a call is for: they are always somebody's, on an open API too.
func owner(api routes.API, user string) string {
	if api.Auth == nil {
		return caller.Anonymous
	}
	return user
}

// serveRuns answers the operations of pipelines and their runs.
func (g *gateway) serveRuns(w http.ResponseWriter, r *http.Request, m paths.Match, user string) {
	if g.runs == nil {
		problem.Write(w, r, problem.New(problem.Unavailable, http.StatusServiceUnavailable, "",
			"the gateway was started without access to runs"))
		return
	}
	switch m.Operation {
	case paths.StartRun:
		g.runs.Start(w, r, user, m.API.Target, m.API.Spec)
	case paths.DescribePipeline:
		g.runs.OpenAPI(w, m.API.Target, m.Prefix, m.API.Spec)
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

// sign makes a signature of now, also for a caller without a name. While the module's key is not
// there it waits for it, a little. The error is a problem, or the context's.
func (g *gateway) sign(ctx context.Context, c caller.Claims) (string, error) {
	deadline := time.Now().Add(keyWait)
	for {
		key, err := readKey(g.keyFile)
		var s string
		if err == nil {
			c.IssuedAt = g.now()
			s, err = caller.Sign(key, c)
		}
		missing := errors.Is(err, os.ErrNotExist) || errors.Is(err, caller.ErrKey)
		switch {
		case err == nil:
			return s, nil
		case errors.Is(err, caller.ErrInvalid): // only a path can be too much for it
			return "", problem.New(problem.BadRequest, http.StatusRequestURITooLong, "", "the path is too long")
		case !missing || time.Now().After(deadline):
			slog.Error("calls cannot be signed", "error", err)
			return "", problem.New("no-module-key", http.StatusServiceUnavailable, "The module has no key yet",
				"the component answers only calls that are signed with it; the controller of unip makes the key")
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(keyPoll):
		}
	}
}

// readKey reads the key anew for every call: the file is 32 bytes, and so a changed one counts at once.
func readKey(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKey))
}
