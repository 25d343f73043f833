package service

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/internal/problem"
)

// Headers that are too long are answered whole, so that the answer comes through proxies.
func TestLongHeaders(t *testing.T) {
	t.Parallel()
	m := start(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	for size, want := range map[int]int{20 << 10: 200, 40 << 10: 431, 58 << 10: 431, 100 << 10: 431} {

		resp, body := m.call(t, "POST", "/open/predict", strings.NewReader("{}"), "X-Long", strings.Repeat("x", size))
		if resp.StatusCode != want || resp.ContentLength < 0 {
			t.Errorf("%d bytes: %d, length %d: %.200s", size, resp.StatusCode, resp.ContentLength, body)
		}
		if want == 431 {
			wantProblem(t, resp, body, want, problem.HeaderTooLarge)
		}
	}
}

// One slash at the end of a path says nothing.
func TestASlashAtTheEnd(t *testing.T) {
	t.Parallel()
	m := start(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
	for path, want := range map[string]string{
		"/open/predict/": "/predict", "/pu-ann/open/predict/": "/predict", "/open/v2/": "/v2",
		"/open/v2/models/open/infer/": "/v2/models/open/infer",
	} {
		if resp, body := m.call(t, "POST", path, strings.NewReader("{}")); resp.StatusCode != 200 || body != want {
			t.Errorf("%s: %d %s, want %s", path, resp.StatusCode, body, want)
		}
	}
	resp, body := m.call(t, "POST", "/open/predict//", strings.NewReader("{}"))
	wantProblem(t, resp, body, 404, problem.NotFound)
}

// counted remembers what a gateway tells of its calls.
type counted struct {
	mu    sync.Mutex
	begun int
	ended []string
}

func (c *counted) Begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun++
}

func (c *counted) End(api, method string, status int, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = append(c.ended, fmt.Sprint(api, " ", method, " ", status))
}

// Each call is counted once, with the API that it is of; a path that nobody publishes is of none.
func TestCallsAreCounted(t *testing.T) {
	t.Parallel()
	m := start(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	told := &counted{}
	m.gateway.metrics = told
	m.call(t, "POST", "/open/predict", strings.NewReader("{}"))
	m.call(t, "POST", "/quiet/predict", strings.NewReader("{}"))
	m.call(t, "GET", "/made/up", nil)
	m.call(t, "GET", "/readyz", nil) // a probe is no call
	m.Close()                        // ends when all calls have
	want := []string{"open POST 200", "quiet POST 401", " GET 404"}
	if told.begun != 3 || !slices.Equal(told.ended, want) {
		t.Errorf("%d begun, ended %q, want %q", told.begun, told.ended, want)
	}
}
