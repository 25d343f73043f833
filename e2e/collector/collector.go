//go:build integration || e2e

package collector

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/unip-knative/unip/e2e/freeport"
	"github.com/unip-knative/unip/e2e/programs"
)

// Collector is a running one.
type Collector struct {
	// Endpoint takes OTLP over HTTP: it may be tracing.endpoint of unip.yaml.
	Endpoint string
	// file has what has come, as the collector writes it.
	file string
}

// Span is one that the collector has taken.
type Span struct {
	Trace, ID, Parent string
	Service, Name     string
	Start, End        time.Time
	Failed            bool
	Why               string // its status says so
	Attributes        map[string]string
}

const config = `receivers: {otlp: {protocols: {http: {endpoint: %q}}}}
exporters: {file: {path: %q}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [file]}}
`

// Start starts one that listens on an address of this machine, and waits until it does.
func Start(t testing.TB, host string) *Collector {
	t.Helper()
	dir := t.TempDir()
	address := net.JoinHostPort(host, strconv.Itoa(freeport.Find(t)))
	c := &Collector{Endpoint: "http://" + address, file: filepath.Join(dir, "spans.json")}
	settings := filepath.Join(dir, "collector.yaml")
	if err := os.WriteFile(settings, fmt.Appendf(nil, config, address, c.file), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "collector.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(programs.Find(t, "UNIP_COLLECTOR", "collector"), "--config", settings)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // killed, as it was to be
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			conn.Close()
			return c
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name())
			t.Fatalf("the collector does not listen: %v\n%s", err, said)
		}
	}
}

// value is one of OTLP's, in JSON.
type value struct {
	Text   string      `json:"stringValue"`
	Number json.Number `json:"intValue"`
}

// batch is a line of the file: OTLP as JSON, in which ids are hexadecimal and times are texts.
type batch struct {
	ResourceSpans []struct {
		Resource struct {
			Attributes []attribute `json:"attributes"`
		} `json:"resource"`
		ScopeSpans []struct {
			Spans []struct {
				TraceID      string      `json:"traceId"`
				SpanID       string      `json:"spanId"`
				ParentSpanID string      `json:"parentSpanId"`
				Name         string      `json:"name"`
				Start        json.Number `json:"startTimeUnixNano"`
				End          json.Number `json:"endTimeUnixNano"`
				Attributes   []attribute `json:"attributes"`
				Status       struct {
					Message string `json:"message"`
					Code    int    `json:"code"`
				} `json:"status"`
			} `json:"spans"`
		} `json:"scopeSpans"`
	} `json:"resourceSpans"`
}

type attribute struct {
	Key   string `json:"key"`
	Value value  `json:"value"`
}

// failed is the code of a span that says so.
const failed = 2

// Spans are all that have come and are written.
func (c *Collector) Spans(t testing.TB) []Span {
	t.Helper()
	f, err := os.Open(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []Span
	for lines := json.NewDecoder(f); ; {
		var b batch
		err := lines.Decode(&b)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // it is being written
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		all = append(all, b.spans()...)
	}
}

func (b *batch) spans() (all []Span) {
	for _, r := range b.ResourceSpans {
		service := attributes(r.Resource.Attributes)["service.name"]
		for _, scope := range r.ScopeSpans {
			for _, s := range scope.Spans {
				all = append(all, Span{Trace: s.TraceID, ID: s.SpanID, Parent: s.ParentSpanID, Service: service,
					Name: s.Name, Start: nano(s.Start), End: nano(s.End), Failed: s.Status.Code == failed,
					Why: s.Status.Message, Attributes: attributes(s.Attributes)})
			}
		}
	}
	return all
}

func attributes(all []attribute) map[string]string {
	m := map[string]string{}
	for _, a := range all {
		m[a.Key] = a.Value.Text + a.Value.Number.String()
	}
	return m
}

func nano(n json.Number) time.Time {
	i, _ := n.Int64() // no number is no time
	return time.Unix(0, i).UTC()
}
