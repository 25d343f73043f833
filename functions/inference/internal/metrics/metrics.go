// Package metrics counts what an inference server does, for Prometheus. Those of HTTP have the
// names of OpenTelemetry's semantic conventions, as Knative's queue-proxy in front of the server
// has them; docs/inference.md lists them all. One call costs about half a microsecond: the series
// of a route are looked up once and kept.
package metrics

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/unip-knative/unip/functions/inference/internal/pool"
)

// Bounds of the histograms. Seconds go from half a millisecond, which a function that does nothing
// takes, to Knative's longest call; bytes to the largest body.
var (
	seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600}
	sizes   = prometheus.ExponentialBuckets(256, 4, 10)
)

// Outcomes of a call of the function.
const (
	OutcomeAnswer  = "answer"  // it answered
	OutcomeProblem = "problem" // it raised, or its input or result was wrong
	OutcomeTimeout = "timeout" // it took too long
	OutcomeDied    = "died"    // its process ended
)

// Phases of a start. A component without a model has no fetch and no load, one without mounts no
// mounts.
const (
	PhaseMounts    = "mounts"     // of the folders that are mounted from their boxes, before the import
	PhaseImport    = "import"     // of the function's module, in the worker
	PhaseFetch     = "fetch"      // of the model from its box
	PhaseLoad      = "load"       // of the model by the function's loader
	PhaseReady     = "ready"      // from the server's start until the first worker takes calls
	PhaseFirstCall = "first_call" // of the function
)

// Metrics of one server.
type Metrics struct {
	registry *prometheus.Registry

	active   prometheus.Gauge
	duration *prometheus.HistogramVec
	request  *prometheus.HistogramVec
	response *prometheus.HistogramVec

	wait     prometheus.Histogram
	function map[string]prometheus.Observer // by outcome
	ends     map[string]prometheus.Counter  // of workers, by reason
	start    *prometheus.GaugeVec
	model    prometheus.Gauge
	mounted  [2]prometheus.Gauge         // files, bytes
	stored   [2]prometheus.Counter       // files, bytes
	updates  map[bool]prometheus.Counter // of the model, by whether they were served
	outdated prometheus.Gauge

	mu     sync.RWMutex
	routes map[key]series
}

// key of the series of a route.
type key struct {
	pattern, method string
	status          int
}

type series struct{ duration, request, response prometheus.Observer }

// New makes the metrics of a server; state tells what its pool does.
func New(state func() pool.State) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), routes: map[key]series{}, function: map[string]prometheus.Observer{},
		ends: map[string]prometheus.Counter{},
		active: prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_server_active_requests",
			Help: "Requests that are being answered."}),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "unip_queue_wait_seconds",
			Help: "How long calls waited for a free worker.", Buckets: seconds}),
		start: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "unip_start_seconds",
			Help: "How long the phases of the last start took."}, []string{"phase"}),
		model: prometheus.NewGauge(prometheus.GaugeOpts{Name: "unip_model_size_bytes",
			Help: "Size of the fetched model."}),
		mounted: [2]prometheus.Gauge{
			prometheus.NewGauge(prometheus.GaugeOpts{Name: "unip_mounted_files",
				Help: "Files that connectedBoxes have brought at the start."}),
			prometheus.NewGauge(prometheus.GaugeOpts{Name: "unip_mounted_bytes", Help: "Size of these files."}),
		},
		stored: [2]prometheus.Counter{
			prometheus.NewCounter(prometheus.CounterOpts{Name: "unip_mounts_stored_files_total",
				Help: "Files that calls have written into mounted folders, and that were stored."}),
			prometheus.NewCounter(prometheus.CounterOpts{Name: "unip_mounts_stored_bytes_total",
				Help: "Size of these files."}),
		},
		outdated: prometheus.NewGauge(prometheus.GaugeOpts{Name: "unip_model_outdated",
			Help: "1 when the newest model cannot be used, and an older one is served."}),
	}
	updates := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unip_model_updates_total",
		Help: "Newer models that came while one was served."}, []string{"outcome"})
	m.updates = map[bool]prometheus.Counter{true: updates.WithLabelValues("served"),
		false: updates.WithLabelValues("refused")}
	route := []string{"http_request_method", "http_route", "http_response_status_code"}
	m.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_server_request_duration_seconds",
		Help: "How long requests took.", Buckets: seconds}, route)
	m.request = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_server_request_body_size_bytes",
		Help: "Size of requests' bodies.", Buckets: sizes}, route)
	m.response = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_server_response_body_size_bytes",
		Help: "Size of answers' bodies.", Buckets: sizes}, route)
	function := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "unip_function_duration_seconds",
		Help: "How long the function took, its values' decoding and encoding included.", Buckets: seconds,
	}, []string{"outcome"})
	for _, o := range []string{OutcomeAnswer, OutcomeProblem, OutcomeTimeout, OutcomeDied} {
		m.function[o] = function.WithLabelValues(o)
	}
	ends := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unip_worker_restarts_total",
		Help: "Workers that ended and were replaced."}, []string{"reason"})
	for _, reason := range pool.Ends {
		m.ends[reason] = ends.WithLabelValues(reason)
	}
	gauge := func(name, help string, value func(pool.State) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value(state())) })
	}
	m.registry.MustRegister(m.active, m.duration, m.request, m.response, m.wait, m.start, m.model, function, ends,
		m.mounted[0], m.mounted[1], m.stored[0], m.stored[1], m.outdated, updates,
		gauge("unip_queue_depth", "Calls that wait for a free worker.", func(s pool.State) int { return s.Waiting }),
		gauge("unip_queue_limit", "How many calls may wait.", func(s pool.State) int { return s.Queue }),
		gauge("unip_workers", "Workers that take calls.", func(s pool.State) int { return s.Serving }),
		gauge("unip_workers_busy", "Workers that run a call.", func(s pool.State) int { return s.Busy }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler is what a Prometheus scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// Begin notes a request, until what it returns is called.
func (m *Metrics) Begin() { m.active.Inc() }

// Request is one request that has been answered.
type Request struct {
	// Pattern of the mux that it matched: "POST /predict".
	Pattern, Method string
	Status          int
	Took            time.Duration
	Received, Sent  int64 // bytes of the bodies
}

// End notes what became of a request.
func (m *Metrics) End(r Request) {
	m.active.Dec()
	k := key{r.Pattern, r.Method, r.Status}
	m.mu.RLock()
	s, ok := m.routes[k]
	m.mu.RUnlock()
	if !ok {
		s = m.resolve(k)
	}
	s.duration.Observe(r.Took.Seconds())
	s.request.Observe(float64(r.Received))
	s.response.Observe(float64(r.Sent))
}

// resolve makes the series of a route. There are as many as patterns, methods and statuses that a
// server has; a method that HTTP does not know counts as _OTHER, a path that is no route's as "".
func (m *Metrics) resolve(k key) series {
	_, route, ok := strings.Cut(k.pattern, " ")
	if !ok {
		route = k.pattern
	}
	if route == "/" {
		route = ""
	}
	switch k.method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
	default:
		k.method = "_OTHER"
	}
	labels := []string{k.method, route, strconv.Itoa(k.status)}
	s := series{m.duration.WithLabelValues(labels...), m.request.WithLabelValues(labels...),
		m.response.WithLabelValues(labels...)}
	if k.method != "_OTHER" { // made-up methods are not kept
		m.mu.Lock()
		m.routes[k] = s
		m.mu.Unlock()
	}
	return s
}

// Call notes a call of the function. A call that no worker took has only waited.
func (m *Metrics) Call(outcome string, waited, took time.Duration) {
	m.wait.Observe(waited.Seconds())
	if o, ok := m.function[outcome]; ok {
		o.Observe(took.Seconds())
	}
}

// WorkerEnded counts the end of a worker, for one of pool's reasons.
func (m *Metrics) WorkerEnded(reason string) {
	if c, ok := m.ends[reason]; ok {
		c.Inc()
	}
}

// Phase notes how long a phase of the start took.
func (m *Metrics) Phase(phase string, seconds float64) { m.start.WithLabelValues(phase).Set(seconds) }

// Updated notes a newer model, and whether it is served now.
func (m *Metrics) Updated(served bool) {
	m.updates[served].Inc()
	m.outdated.Set(0)
	if !served {
		m.outdated.Set(1)
	}
}

// Model notes the size of the model in bytes.
func (m *Metrics) Model(size int64) { m.model.Set(float64(size)) }

// Mounted notes what the mounts have brought.
func (m *Metrics) Mounted(files int, bytes int64) {
	m.mounted[0].Set(float64(files))
	m.mounted[1].Set(float64(bytes))
}

// Stored counts what calls have written into mounts.
func (m *Metrics) Stored(files int, bytes int64) {
	m.stored[0].Add(float64(files))
	m.stored[1].Add(float64(bytes))
}
