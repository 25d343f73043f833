package front

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/accesslog"
	"github.com/unip-knative/unip/functions/inference/internal/metrics"
	"github.com/unip-knative/unip/functions/inference/internal/pool"
	"github.com/unip-knative/unip/functions/internal/problem"
)

func server(t testing.TB) *Server {
	t.Helper()
	s := &Server{Component: "leaf", Unsigned: true, Key: &Key{Path: filepath.Join(t.TempDir(), "none")},
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil))}
	s.Init()
	p, err := pool.Listen(filepath.Join(t.TempDir(), "s"), 1, false, s.Watch(), s.Log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	s.Pool = p
	return s
}

// BenchmarkObserved is what log, metrics, limits and identity of a request cost, beside the handler
// alone. The log's lines are written to nowhere: their system calls are not counted.
func BenchmarkObserved(b *testing.B) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusOK)
	})
	for name, x := range map[string]struct {
		log, observed bool
	}{"handler alone": {}, "metrics": {observed: true}, "metrics and log": {true, true}} {
		b.Run(name, func(b *testing.B) {
			s := server(b)
			if x.log {
				s.AccessLog = accesslog.NewWriter(io.Discard).Log
			}
			var h http.Handler = answer
			if x.observed {
				h = s.observed(answer)
			}
			r := httptest.NewRequest(http.MethodPost, "/predict", nil)
			r.Pattern = "POST /predict"
			b.ReportAllocs()
			for b.Loop() {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader("{}")), 2
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}

// A mistake of ours is a problem, not a broken connection, unless the answer has begun.
func TestPanics(t *testing.T) {
	t.Parallel()
	s := server(t)
	rec := httptest.NewRecorder()
	s.observed(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oh") })).ServeHTTP(rec,
		httptest.NewRequest(http.MethodGet, "/x", nil))
	if rec.Code != http.StatusInternalServerError || rec.Header().Get("Content-Type") != problem.ContentType ||
		strings.Contains(rec.Body.String(), "oh") {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	defer func() {
		if p := recover(); p != http.ErrAbortHandler { // a panic value
			t.Errorf("panic %v", p)
		}
		if s.Active() != 0 {
			t.Errorf("%d requests are left", s.Active())
		}
	}()
	s.observed(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half"))
		panic("oh")
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x", nil))
}

// The memory for bodies is bounded, and what a call has taken is given back.
func TestMemoryForBodies(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.MaxBody, s.MaxHeld = 100, 150
	inside, outside := make(chan bool), make(chan bool)
	var second error
	h := s.observed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		if r.URL.Path == "/first" {
			inside <- true
			<-outside
		}
		second = err
		if err != nil {
			s.refuse(w, r, err)
		}
	}))
	call := func(path string, size int) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, path, strings.NewReader(strings.Repeat("x", size))))
		return rec
	}
	go call("/first", 100)
	<-inside
	if rec := call("/second", 51); rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" ||
		second == nil {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := call("/third", 50); rec.Code != http.StatusOK {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	outside <- true
	for s.Active() > 0 {
		continue
	}
	if rec := call("/fourth", 100); rec.Code != http.StatusOK {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if s.held.Load() != 0 {
		t.Errorf("%d bytes are held by nobody", s.held.Load())
	}
	if rec := call("/fifth", 101); rec.Code != http.StatusRequestEntityTooLarge ||
		!strings.Contains(rec.Body.String(), "100 bytes") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestTraceID(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01": "0af7651916cd43dd8448eb211c80319c",
		"": "", "x": "", "a-b-c-d": "",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01":  "",
		"00-0af7651916cd43dd8448eb211c80319\n-b7ad6b7169203331-01": "",
		"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01":  "",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Traceparent"] = []string{header}
		if got := traceID(r); got != want {
			t.Errorf("%q: %q", header, got)
		}
	}
}

// FuzzRequest gives a handler any path, headers and body: nothing panics, and every answer is a
// success or a problem.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "/predict", "X-Request-Id", "id", "{}")
	f.Add("GET", "/openapi.json", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "")
	f.Add("POST", "/predict", "Unip-Caller", "a.b.c", "{")
	f.Add("PUT", "/healthz", "Content-Length", "-1", "x")
	s := server(f)
	s.MaxBody = 10
	h := s.Handler()
	f.Fuzz(func(t *testing.T, method, path, key, value, body string) {
		r, err := http.NewRequest(method, "http://x"+path, strings.NewReader(body))
		if err != nil {
			return // not a request that net/http would hand on
		}
		ctx, stop := contextFor(t)
		defer stop()
		r = r.WithContext(ctx)
		r.Header[http.CanonicalHeaderKey(key)] = []string{value}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code >= 400 && r.Method != http.MethodHead && rec.Header().Get("Content-Type") != problem.ContentType &&
			r.Method != http.MethodConnect {
			t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
		}
		if rec.Code >= 500 && rec.Code != http.StatusServiceUnavailable {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	})
}

// contextFor ends soon: there is no worker that would take a call.
func contextFor(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), time.Millisecond)
}

// BenchmarkMetrics is the part of it that is Prometheus's.
func BenchmarkMetrics(b *testing.B) {
	s := server(b)
	b.ReportAllocs()
	for b.Loop() {
		s.metrics.Begin()
		s.metrics.Call(metrics.OutcomeAnswer, 0, time.Millisecond)
		s.metrics.End(metrics.Request{Pattern: "POST /predict", Method: http.MethodPost, Status: http.StatusOK,
			Took: time.Millisecond, Received: 1000, Sent: 1000})
	}
}
