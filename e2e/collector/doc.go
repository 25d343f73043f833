// Package collector gives tests a real OpenTelemetry Collector: a process of their own that takes OTLP
// and ends with the test. The program is the one that UNIP_COLLECTOR names (`make test-integration`
// sets it); without that, `cluster bin collector` of the checkout is asked for it.
package collector
