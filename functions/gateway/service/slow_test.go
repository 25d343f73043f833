package service

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/gateway/internal/pace"
	"github.com/unip-knative/unip/functions/gateway/internal/runs"
)

// silent is the body and the connection of a caller that sends nothing: the deadline of reading
// passes.
type silent struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (s *silent) SetReadDeadline(at time.Time) error {
	s.until = at
	return nil
}

func (s *silent) Read([]byte) (int, error) {
	if s.until.IsZero() || time.Until(s.until) > pace.Pause {
		return 0, http.ErrHandlerTimeout
	}
	return 0, os.ErrDeadlineExceeded
}

// Every body has a limit of time, also one that is refused before it is read.
func TestSlowBodiesEnd(t *testing.T) {
	t.Parallel()
	m := startWith(t, strings.Replace(routesFile, `{"apis":[`,
		`{"apis":[{"name":"train","kind":"experimentPipeline","path":"train","target":"train"},`, 1),
		func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("{}")) })
	m.gateway.runs = &runs.Handler{}
	for path, want := range map[string]int{
		"/pu-ann/train/run":    http.StatusRequestTimeout,
		"/pu-ann/open/predict": http.StatusRequestTimeout,
		"/pu-ann/leaf/predict": http.StatusUnauthorized,
		"/nothing":             http.StatusNotFound,
	} {
		s := &silent{ResponseRecorder: httptest.NewRecorder()}
		r := httptest.NewRequest(http.MethodPost, path, s)
		r.ContentLength = 1000
		m.gateway.ServeHTTP(s, r)
		if left := time.Until(s.until); s.Code != want || left > pace.Pause || s.until.IsZero() {
			t.Errorf("%s: %d %s; the body may take %s", path, s.Code, s.Body, left)
		}
	}
}
