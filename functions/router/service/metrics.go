package service

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a router. None has a module's name: there may be thousands.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	wakes    *prometheus.CounterVec
}

func newMetrics(underWay func() int, modules func() int) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unip_router_calls_total",
			Help: "Calls that were answered, by the class of their status."}, []string{"class"}),
		wakes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unip_router_wakes_total",
			Help: "Components that were woken beside their gateways."}, []string{"outcome"}),
	}
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value()) })
	}
	m.registry.MustRegister(m.calls, m.wakes,
		gauge("unip_router_calls", "Calls that are under way.", underWay),
		gauge("unip_router_modules", "Modules that have a gateway.", modules))
	for _, class := range []string{"2xx", "3xx", "4xx", "5xx"} {
		m.calls.WithLabelValues(class)
	}
	for _, outcome := range []string{"ready", "not ready", "held back"} {
		m.wakes.WithLabelValues(outcome)
	}
	return m
}

func (m *metrics) answered(status int) {
	m.calls.WithLabelValues(strconv.Itoa(status/100) + "xx").Inc()
}

func (m *metrics) woken(outcome string) { m.wakes.WithLabelValues(outcome).Inc() }

// Metrics are the router's.
func (h *Router) Metrics() prometheus.Gatherer { return h.metrics.registry }
