package front

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Numbers that were taken out of a body count as what they take in binary, and only if there is
// memory for them; all of it is given back.
func TestMemoryForNumbers(t *testing.T) {
	t.Parallel()
	body := `{"inputs":[{"name":"x","data":[` + strings.Repeat("1.5,", 25000) + `0]}]}`
	size := int64(len(body))
	for name, x := range map[string]struct {
		held  int64 // there may be
		taken bool
	}{
		"there is room": {4 * size, true},
		"there is none": {2 * size, false},
		"there is none for the largest body of another": {4*size - 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t)
			s.MaxBody, s.MaxHeld, s.Timeout = size, x.held, time.Minute
			h := s.Handler()
			ctx, leave := context.WithCancel(t.Context())
			left := make(chan int)
			go func() {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/predict",
					strings.NewReader(body)).WithContext(ctx))
				left <- rec.Code
			}()
			for s.Pool.State().Waiting == 0 && t.Context().Err() == nil {
				runtime.Gosched()
			}
			if held := s.held.Load(); x.taken && (held < 8*25000 || held > 2*size+size/10) || !x.taken && held != size {
				t.Errorf("%d bytes are held for %d", held, size)
			}
			leave()
			if code := <-left; code != 499 {
				t.Errorf("%d", code)
			}
			if held := s.held.Load(); held != 0 {
				t.Errorf("%d bytes are held by nobody", held)
			}
		})
	}
}
