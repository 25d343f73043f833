// Package httpmetrics counts the calls that a program of unip answers, for Prometheus, with the names
// of OpenTelemetry's semantic conventions, and serves them on a port of its own.
package httpmetrics

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// seconds are the bounds of the histogram: from a call that is passed on by a warm gateway to the
// longest that Knative bears.
var seconds = []float64{.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}

// maxGroups bounds the values of the program's own label.
const maxGroups = 1000

// other is the method of calls whose own HTTP does not know, and the group of those that are too many.
const other = "_OTHER"

// Metrics of one program.
type Metrics struct {
	registry *prometheus.Registry
	active   prometheus.Gauge
	duration *prometheus.HistogramVec

	mu     sync.Mutex
	groups map[string]bool
}

// New makes the metrics of a program that tells its calls apart by a label, such as the API.
func New(label string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), groups: map[string]bool{},
		active: prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_server_active_requests",
			Help: "Requests that are being answered."}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_server_request_duration_seconds",
			Help: "How long requests took.", Buckets: seconds},
			[]string{"http_request_method", "http_response_status_code", label}),
	}
	m.registry.MustRegister(m.active, m.duration, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Register adds what the program counts beside its calls.
func (m *Metrics) Register(more ...prometheus.Collector) { m.registry.MustRegister(more...) }

// Begin notes a call that is being answered.
func (m *Metrics) Begin() { m.active.Inc() }

// End notes what became of a call that Begin has noted. group is the value of the program's label.
func (m *Metrics) End(group, method string, status int, took time.Duration) {
	m.active.Dec()
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
	default:
		method = other
	}
	m.duration.WithLabelValues(method, strconv.Itoa(status), m.group(group)).Observe(took.Seconds())
}

// group is the label's value: callers can make up no series without end.
func (m *Metrics) group(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.groups[name] && len(m.groups) >= maxGroups {
		return other
	}
	m.groups[name] = true
	return name
}

// Handler is what a Prometheus scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// Serve answers at /metrics of an address until the context ends; "0" is nowhere. Without its port
// the program still does its work, so that is only told.
func (m *Metrics) Serve(ctx context.Context, address string, log *slog.Logger) {
	if address == "0" {
		return
	}
	const patience = 10 * time.Second
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: patience, ReadTimeout: patience,
		WriteTimeout: patience, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Error("serving metrics", "address", address, "error", err)
	}
}
