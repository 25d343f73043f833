package between

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
)

// maxTwice bounds a body that is passed on twice; events are far smaller.
const maxTwice = 1 << 20

// twice passes a request on twice; the second answer is given.
func (w *Way) twice(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxTwice))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	again := r.Clone(r.Context())
	r.Body, again.Body = io.NopCloser(bytes.NewReader(body)), io.NopCloser(bytes.NewReader(body))
	w.proxy.ServeHTTP(httptest.NewRecorder(), r)
	w.proxy.ServeHTTP(out, again)
}
