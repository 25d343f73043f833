package scrape

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// Whatever the API server says of a token is what its bearer gets, and it is asked once a minute.
func TestGuard(t *testing.T) {
	t.Parallel()
	asked, now := 0, time.Now()
	g := &Guard{now: func() time.Time { return now }, limiter: rate.NewLimiter(rate.Every(time.Hour), 5),
		known: map[[sha256.Size]byte]answer{},
		next:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") }),
		decide: func(_ context.Context, token, verb, path string) (int, error) {
			asked++
			if verb != "get" || path != "/metrics" {
				t.Errorf("asked for %s %s", verb, path)
			}
			switch token {
			case "good":
				return 200, nil
			case "stranger":
				return 403, nil
			case "away":
				return 0, errors.New("no answer")
			}
			return 401, nil
		}}
	get := func(path, authorization string) int {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if (w.Code == 200) != (w.Body.String() == "metrics") {
			t.Errorf("%d with %q", w.Code, w.Body)
		}
		return w.Code
	}
	for _, x := range []struct {
		path, authorization string
		want, asked         int
	}{
		{"/metrics", "", 401, 0}, {"/metrics", "Basic good", 401, 0}, {"/metrics", "Bearer ", 401, 0},
		{"/metrics", "Bearer " + strings.Repeat("x", longest+1), 401, 0},
		{"/debug/pprof", "Bearer good", 404, 0},
		{"/metrics", "Bearer good", 200, 1}, {"/metrics", "bearer good", 200, 1},
		{"/metrics", "Bearer stranger", 403, 2}, {"/metrics", "Bearer stranger", 403, 2},
		{"/metrics", "Bearer away", 503, 3},
		{"/metrics", "Bearer nobody", 401, 4}, {"/metrics", "Bearer nobody2", 401, 5},
		{"/metrics", "Bearer nobody3", 429, 5}, // strangers do not make it ask without end
		{"/metrics", "Bearer good", 200, 5},
	} {
		if got := get(x.path, x.authorization); got != x.want || asked != x.asked {
			t.Errorf("%s with %.20q: %d after %d questions, want %d after %d", x.path, x.authorization, got, asked, x.want,
				x.asked)
		}
	}
	now = now.Add(2 * remembered)
	// Those who were let in do not wait for the strangers that have used up the questions.
	if got := get("/metrics", "Bearer good"); got != 200 || asked != 6 {
		t.Errorf("%d after %d questions: an answer holds for ever", got, asked)
	}
}
