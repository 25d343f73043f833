package front

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/unip-knative/unip/functions/internal/problem"
)

// The worker may go on when the caller of events has gone: what it still gives is for nobody, and does
// not touch the answer that is being written.
func TestAnOutputAfterTheCallHasFailed(t *testing.T) {
	t.Parallel()
	rec := httptest.NewRecorder()
	e := &events{w: rec, conn: http.NewResponseController(rec), left: eventPause}
	w := e.writer(true)
	late := make(chan struct{})
	go func() {
		defer close(late)
		e.output([]byte("{}"))
	}()
	r := httptest.NewRequest(http.MethodPost, "/predict", http.NoBody)
	problem.Answer(w, r, problem.Timeout, http.StatusGatewayTimeout, "", "too long")
	<-late
	if rec.Code != http.StatusGatewayTimeout || rec.Header().Get("Content-Type") != problem.ContentType {
		t.Errorf("%d, %v", rec.Code, rec.Header())
	}
}
