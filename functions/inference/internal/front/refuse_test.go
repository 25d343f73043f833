package front

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/pool"
)

// A caller whose body is refused while it is still being sent gets the answer: the connection is
// not reset with the answer in it.
func TestARefusalReachesACallerWhoStillSends(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	for name, c := range map[string]struct {
		length int64
		signed bool
		held   int64
		status int
	}{
		"announced too large":   {64 << 20, true, 0, http.StatusRequestEntityTooLarge},
		"chunks over the limit": {-1, true, 0, http.StatusRequestEntityTooLarge},
		"too many at a time":    {-1, true, 100, http.StatusServiceUnavailable},
		"not signed":            {64 << 20, false, 0, http.StatusUnauthorized},
		"not signed, in chunks": {-1, false, 0, http.StatusUnauthorized},
	} {
		s := &Server{
			Component: "leaf", Key: &Key{}, Unsigned: c.signed, MaxBody: limit, MaxHeld: c.held, Timeout: time.Minute,
			Log: slog.New(slog.DiscardHandler),
		}
		s.Pool = &pool.Pool{}
		s.Init()
		srv := httptest.NewServer(s.observed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				s.refuse(w, r, err)
			}
		})))
		t.Cleanup(srv.Close)
		for range 20 {
			status, body, err := send(t, srv.URL, c.length)
			if err != nil || status != c.status || !bytes.Contains(body, []byte(`"status":`)) {
				t.Errorf("%s: %d %q %v, want %d", name, status, body, err, c.status)
				break
			}
		}
	}
}

// send posts a body without an end, as Go's client does: it takes a connection that is reset while
// it writes for one without an answer.
func send(t *testing.T, url string, length int64) (status int, body []byte, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/predict", io.LimitReader(zeros{}, 64<<20))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = length
	transport := &http.Transport{} // with a connection of its own
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	resp, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
