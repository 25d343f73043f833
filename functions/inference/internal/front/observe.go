package front

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/unip-knative/unip/functions/inference/internal/accesslog"
	"github.com/unip-knative/unip/functions/inference/internal/metrics"
	"github.com/unip-knative/unip/functions/inference/internal/pool"
	"github.com/unip-knative/unip/functions/internal/answered"
	"github.com/unip-knative/unip/functions/internal/content"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// notes are what is said of a request beside what stands in it: in its log line, its span, the
// metrics.
type notes struct {
	id     string // of the request
	place  string // the path that the caller called; "" for the request's own
	user   string
	signed bool   // by the gateway
	shown  bool   // the function may know the user
	trace  string // the trace's id, "" for none
	worker int
	called bool // the function was called, or its call waited
	waited time.Duration
	took   time.Duration // of the function
}

type notesKey struct{}

// notesOf are those that observed has put into the request.
func notesOf(r *http.Request) *notes {
	if n, ok := r.Context().Value(notesKey{}).(*notes); ok {
		return n
	}
	return &notes{}
}

// observed finds out who calls, gives the request's body its limits, and tells log, metrics and
// trace of each request. Only the gateway's signature says who it is: without one a call is
// refused, unless the component takes such calls, as is one with a bad one; what other headers
// claim is taken away.
func (s *Server) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if probe(r) {
			next.ServeHTTP(w, r)
			return
		}
		start := time.Now()
		n := &notes{id: requestID(r)}
		rec := &answered.Writer{ResponseWriter: w}
		ctx := problem.In(context.WithValue(r.Context(), notesKey{}, n), &n.place)
		ctx, span := s.startSpan(ctx, r, n)
		r = r.WithContext(ctx) // a copy, which limit needs
		s.active.Add(1)
		s.metrics.Begin()
		w.Header().Set("X-Request-Id", n.id)
		r.Header.Del("X-Forwarded-User")
		b := s.limit(w, r)
		rec.Refusing = b.refusing
		defer func() {
			broken := s.caught(rec, r, recover())
			b.release()
			s.active.Add(-1)
			took := time.Since(start)
			s.metrics.End(metrics.Request{Pattern: r.Pattern, Method: r.Method, Status: rec.Status, Took: took,
				Received: b.received(), Sent: rec.Bytes})
			s.endSpan(span, r, rec.Status, n)
			if s.AccessLog != nil {
				s.AccessLog(accesslog.Call{
					RequestID: n.id, Method: r.Method, Path: r.URL.Path, Status: rec.Status, User: n.user,
					Worker: n.worker, Bytes: rec.Bytes,
					Took: took, Waited: n.waited, Function: n.took, TraceID: n.trace,
				})
			}
			if broken {
				panic(http.ErrAbortHandler)
			}
		}()
		p := s.verify(rec, r, n)
		if n.signed { // the gateway's own word
			n.place = r.Header.Get("X-Forwarded-Prefix") + r.URL.EscapedPath()
		}
		if p != nil {
			problem.Write(rec, r, *p)
			// before a byte of it is kept; a caller that waits for "100 Continue" sends none
		} else if r.ContentLength > s.maxBody() {
			s.refuse(rec, r, &http.MaxBytesError{Limit: s.maxBody()})
		} else if err := b.unpack(r, s.maxBody()); err != nil {
			content.Refused(rec, r, err)
		} else {
			next.ServeHTTP(rec, r)
		}
		if rec.Status == 0 {
			rec.Status = http.StatusOK
		}
	})
}

// caught answers for a handler that panicked, and reports whether its answer had begun and must be
// broken off.
func (s *Server) caught(rec *answered.Writer, r *http.Request, p any) (broken bool) {
	if p == nil {
		return false
	}
	if p != http.ErrAbortHandler { //nolint:errorlint // a panic value, never wrapped
		s.Log.Error("request panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
	if rec.Status != 0 {
		return true
	}
	problem.Answer(rec, r, problem.Internal, http.StatusInternalServerError, "",
		"a mistake of the inference server; its log says more")
	return false
}

// noteCall notes a call of the function and what came of it.
func (s *Server) noteCall(n *notes, a pool.Answer, err error) {
	n.called, n.worker, n.waited, n.took = true, a.PID, a.Waited, a.Took
	var died *pool.DiedError
	outcome := ""
	switch {
	case errors.Is(err, pool.ErrDeadline):
		outcome = metrics.OutcomeTimeout
	case errors.As(err, &died):
		outcome = metrics.OutcomeDied
	case err != nil: // no worker took it, or the caller did not wait for the answer
	case a.Problem:
		outcome = metrics.OutcomeProblem
	default:
		outcome = metrics.OutcomeAnswer
	}
	s.metrics.Call(outcome, a.Waited, a.Took)
	if outcome != "" {
		s.firstCall(a.Took)
	}
}

// propagator reads traceparent and tracestate (W3C Trace Context).
var propagator = propagation.TraceContext{}

// startSpan continues the caller's trace, if spans are sent anywhere; else it only notes the
// trace's id.
func (s *Server) startSpan(ctx context.Context, r *http.Request, n *notes) (context.Context, trace.Span) {
	if s.Tracer == nil {
		n.trace = traceID(r)
		return ctx, nil
	}
	ctx, span := s.Tracer.Start(propagator.Extract(ctx, propagation.HeaderCarrier(r.Header)), r.Method,
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("http.request.method", r.Method),
			attribute.String("url.path", r.URL.Path),
			attribute.String("url.scheme", "http"),
			attribute.String("unip.component", s.Component), attribute.String("unip.request_id", n.id)))
	n.trace = span.SpanContext().TraceID().String()
	return ctx, span
}

func (s *Server) endSpan(span trace.Span, r *http.Request, status int, n *notes) {
	if span == nil {
		return
	}
	if _, route, ok := strings.Cut(r.Pattern, " "); ok {
		span.SetName(r.Method + " " + route)
		span.SetAttributes(attribute.String("http.route", route))
	}
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if n.called {
		span.SetAttributes(attribute.Float64("unip.queue.wait_seconds", n.waited.Seconds()),
			attribute.Float64("unip.function.seconds", n.took.Seconds()),
			attribute.Int("unip.worker", n.worker))
	}
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(status))
	}
	span.End()
}

// traceID is the trace that a request belongs to, "" for none.
func traceID(r *http.Request) string {
	if r.Header.Get("Traceparent") == "" {
		return ""
	}
	ctx := propagator.Extract(context.Background(), propagation.HeaderCarrier(r.Header))
	if id := trace.SpanContextFromContext(ctx).TraceID(); id.IsValid() {
		return id.String()
	}
	return ""
}
