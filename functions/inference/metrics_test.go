package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// scrape is what a Prometheus reads.
func scrape(t *testing.T, c *component) string {
	t.Helper()
	resp, err := http.Get(c.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The table of metrics in docs/inference.md is what the server has: names, types, labels and their
// values, no more and no less.
func TestMetricsAreThoseOfTheDocumentation(t *testing.T) {
	t.Parallel()
	c := start(t, dying, "f", func(o *setup) { o.workers = 2 }).awaitReady()
	c.predict(200, `{"inputs":[{"name":"w","data":"nothing"}]}`)
	c.predict(502, `{"inputs":[{"name":"w","data":"exit"}]}`)
	c.predict(400, `{`)
	got := scrape(t, c)
	docs, err := os.ReadFile("../../docs/inference.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	labels := ""
	for _, row := range regexp.MustCompile(
		"(?m)^\\| `([a-z_]+)` \\| (histogram|gauge|counter) \\| (.*?) \\|").FindAllStringSubmatch(string(docs), -1) {
		name, kind := row[1], row[2]
		documented[name] = true
		if !strings.Contains(got, "# TYPE "+name+" "+kind+"\n") {
			t.Errorf("%s is no %s", name, kind)
		}
		if row[3] != "the same" {
			labels = row[3]
		}
		names, values, _ := strings.Cut(labels, ":")
		word := regexp.MustCompile("`([a-z_]+)`")
		for _, label := range word.FindAllStringSubmatch(names, -1) {
			if !regexp.MustCompile(`(?m)^` + name + `(_bucket)?\{[^}]*` + label[1] + `=`).MatchString(got) {
				t.Errorf("%s has no label %s", name, label[1])
			}
			for _, value := range word.FindAllStringSubmatch(values, -1) {
				if label[1] != "phase" && !strings.Contains(got, label[1]+`="`+value[1]+`"`) {
					t.Errorf("%s has no %s %s", name, label[1], value[1])
				}
			}
		}
	}
	if len(documented) < 10 {
		t.Fatalf("the table is not found: %v", documented)
	}
	for _, line := range regexp.MustCompile(`(?m)^# TYPE ((http|unip)_\S+)`).FindAllStringSubmatch(got, -1) {
		if !documented[line[1]] {
			t.Errorf("%s is not in docs/inference.md", line[1])
		}
	}
	for _, want := range []string{
		`http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="200",http_route="/predict"} 1`,
		`http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="502",http_route="/predict"} 1`,
		`unip_function_duration_seconds_count{outcome="answer"} 1`,
		`unip_function_duration_seconds_count{outcome="died"} 1`,
		`unip_function_duration_seconds_count{outcome="problem"} 1`, `unip_worker_restarts_total{reason="exit"} 1`,
		`unip_queue_wait_seconds_count 3`, `unip_queue_limit 200`, `unip_start_seconds{phase="import"}`,
		`unip_start_seconds{phase="first_call"}`, `process_open_fds`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
	if !strings.Contains(c.log.String(),
		`"msg":"start","model_bytes":0,"mounts_seconds":0,"fetch_seconds":0,"import_seconds":`) {
		t.Error("the log has no line about the start")
	}
}

// A caller's methods are not labels without end.
func TestStrangeMethodsAreOneSeries(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo").awaitReady()
	for _, method := range []string{"AAA", "BBB", "CCC"} {
		if resp := c.raw(t, method+" /predict HTTP/1.1\r\nHost: x\r\n\r\n"); resp == nil || resp.StatusCode != 405 {
			t.Errorf("%s: %+v", method, resp)
		}
	}
	if got := scrape(t, c); !strings.Contains(got,
		`{http_request_method="_OTHER",http_response_status_code="405",http_route="/predict"} 3`) {
		t.Errorf("%s", got)
	}
}

// A request's span continues the caller's trace and says what became of it. Not parallel: tracing
// is set up by the environment.
func TestSpansContinueTheCallersTrace(t *testing.T) {
	spans := make(chan *collector.ExportTraceServiceRequest, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(b, &request); err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		spans <- &request
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
	c := start(t, echo, "echo").awaitReady()
	c.predict(200, "{}", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Request-Id", "r")
	request := <-spans
	span := request.ResourceSpans[0].ScopeSpans[0].Spans[0]
	attributes := map[string]string{}
	for _, a := range append(span.Attributes, request.ResourceSpans[0].Resource.Attributes...) {
		attributes[a.Key] = a.Value.String()
	}
	if span.Name != "POST /predict" || string(span.ParentSpanId) != "\xb7\xad\x6b\x71\x69\x20\x33\x31" ||
		string(span.TraceId) != "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c" {
		t.Errorf("%+v", span)
	}
	for key, want := range map[string]string{"http.response.status_code": "200", "http.route": "/predict",
		"service.name": "leaf", "unip.request_id": `"r"`} {
		if !strings.Contains(attributes[key], want) {
			t.Errorf("%s is %s", key, attributes[key])
		}
	}
	c.predict(200, "{}", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00") // not to be sampled
	c.stopServer()
	if !strings.Contains(c.log.String(), `"trace_id":"0af7651916cd43dd8448eb211c80319c"`) {
		t.Error("the trace is not in the log")
	}
	if len(spans) > 0 {
		t.Errorf("an unsampled span was sent: %v", <-spans)
	}
}

func TestNoTracingWithoutItsVariables(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	tracer, flush, err := tracing(t.Context(), "leaf", slog.New(slog.DiscardHandler))
	if err != nil || tracer != nil {
		t.Errorf("%v %v", tracer, err)
	}
	flush()
}
