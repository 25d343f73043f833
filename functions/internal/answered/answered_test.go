package answered

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestWriterRemembersTheAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		serve  func(http.ResponseWriter)
		status int
		bytes  int64
	}{
		"nothing":  {func(http.ResponseWriter) {}, 0, 0},
		"a status": {func(w http.ResponseWriter) { w.WriteHeader(404) }, 404, 0},
		"a body": {func(w http.ResponseWriter) {
			_, _ = w.Write([]byte("abc"))
			_,
				_ = w.Write([]byte("d"))
		}, 200, 4},
		"early hints before it": {func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(201) }, 201, 0},
		"a second status":       {func(w http.ResponseWriter) { w.WriteHeader(201); w.WriteHeader(500) }, 201, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := &Writer{ResponseWriter: httptest.NewRecorder()}
			c.serve(w)
			if w.Status != c.status || w.Bytes != c.bytes {
				t.Errorf("%d and %d bytes, want %d and %d", w.Status, w.Bytes, c.status, c.bytes)
			}
		})
	}
	rec := httptest.NewRecorder()
	if err := http.NewResponseController(&Writer{ResponseWriter: rec}).Flush(); err != nil || !rec.Flushed {
		t.Errorf("a flush does not come through: %v", err)
	}
}
