package front

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/metrics"
	"github.com/unip-knative/unip/functions/inference/internal/pool"
)

// phases are how long the parts of this start took. A worker that comes later, for one that ended,
// does not change them.
type phases struct {
	mu      sync.Mutex
	seconds map[string]float64
	size    int64 // of the model
}

// phase notes one, the first time.
func (s *Server) phase(name string, seconds float64) {
	s.start.mu.Lock()
	defer s.start.mu.Unlock()
	if _, ok := s.start.seconds[name]; ok {
		return
	}
	if s.start.seconds == nil {
		s.start.seconds = map[string]float64{}
	}
	s.start.seconds[name] = seconds
	s.metrics.Phase(name, seconds)
}

// Watch is what the pool tells the server.
func (s *Server) Watch() pool.Watch {
	return pool.Watch{
		Imported: func(seconds float64) { s.phase(metrics.PhaseImport, seconds) },
		Loaded:   func(seconds float64) { s.phase(metrics.PhaseLoad, seconds) },
		Compiled: s.compiled,
		Serving:  func() { s.phase(metrics.PhaseReady, time.Since(s.started).Seconds()) },
		Ended:    func(reason string) { s.metrics.WorkerEnded(reason) },
	}
}

// much is how many modules a start may compile without a word: a function's own are a few, a library
// has hundreds.
const much = 50

// compiled says once that starts take longer than they must, and the cure.
func (s *Server) compiled(c pool.Compiled) {
	if c.Files < much || !s.Image {
		return
	}
	s.slow.Do(func() {
		s.Log.Warn("the image has no .pyc that can be used of many modules: each start compiles them anew",
			"modules", c.Files, "seconds", c.Seconds, "cure", "at the end of the Dockerfile, before USER: "+
				"RUN python3 -m compileall -q -f --invalidation-mode unchecked-hash "+strings.Join(c.Folders, " "))
	})
}

// Fetched notes the model that has come from its box.
func (s *Server) Fetched(took time.Duration, size int64) {
	s.phase(metrics.PhaseFetch, took.Seconds())
	s.metrics.Model(size)
	s.start.mu.Lock()
	defer s.start.mu.Unlock()
	s.start.size = size
}

// Mounted notes the folders that have come from their boxes.
func (s *Server) Mounted(took time.Duration, files int, bytes int64) {
	s.phase(metrics.PhaseMounts, took.Seconds())
	s.metrics.Mounted(files, bytes)
}

// Stored counts what calls have written into such folders.
func (s *Server) Stored(files int, bytes int64) { s.metrics.Stored(files, bytes) }

// firstCall writes the one line that says where the time of a cold start went, after the first
// call.
func (s *Server) firstCall(took time.Duration) {
	s.first.Do(func() {
		s.phase(metrics.PhaseFirstCall, took.Seconds())
		s.start.mu.Lock()
		defer s.start.mu.Unlock()
		line := []any{"model_bytes", s.start.size}
		for _, name := range []string{metrics.PhaseMounts, metrics.PhaseFetch, metrics.PhaseImport, metrics.PhaseLoad,
			metrics.PhaseReady, metrics.PhaseFirstCall} {
			line = append(line, name+"_seconds", s.start.seconds[name])
		}
		s.Log.Info("start", line...)
	})
}

// Metrics is what a Prometheus scrapes, on a port of its own: the public one is reachable through
// the gateway.
func (s *Server) Metrics() http.Handler { return s.metrics.Handler() }

// Active is how many requests are being answered.
func (s *Server) Active() int { return int(s.active.Load()) }
