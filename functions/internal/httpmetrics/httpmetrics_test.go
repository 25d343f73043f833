package httpmetrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What Prometheus reads: calls by method, status and group, of which callers can make up none.
func TestMetrics(t *testing.T) {
	t.Parallel()
	m := New("api")
	m.Begin()
	m.Begin()
	m.End("leaf", http.MethodPost, 200, 30*time.Millisecond)
	for _, method := range []string{"AAA", "BBB"} {
		m.Begin()
		m.End("leaf", method, 405, 0)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`http_server_request_duration_seconds_count{api="leaf",http_request_method="POST",http_response_status_code="200"} 1`,
		`http_server_request_duration_seconds_bucket{api="leaf",http_request_method="POST",http_response_status_code="200",le="0.05"} 1`,
		`http_server_request_duration_seconds_count{api="leaf",http_request_method="_OTHER",http_response_status_code="405"} 2`,
		"http_server_active_requests 1\n", "go_goroutines ",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
	docs, err := os.ReadFile("../../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(w.Body.String(), -1) {
		ofGo := strings.HasPrefix(name[1], "go_") || strings.HasPrefix(name[1], "process_") ||
			strings.HasPrefix(name[1], "promhttp_")
		if !ofGo && !strings.Contains(string(docs), "`"+name[1]+"`") {
			t.Errorf("docs/operating.md does not name %s", name[1])
		}
	}
	for i := range 2 * maxGroups {
		m.Begin()
		m.End(fmt.Sprint("api-", i), http.MethodGet, 200, 0)
	}
	w = httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if n := strings.Count(w.Body.String(), "duration_seconds_count{"); n > maxGroups+5 {
		t.Errorf("%d series", n)
	}
}
