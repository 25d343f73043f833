package between_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/unip-knative/unip/e2e/chaos/between"
)

// way is a way to a server that counts what comes and answers with the path and the body.
func way(t *testing.T) (w *between.Way, at string, came *atomic.Int32) {
	t.Helper()
	came = &atomic.Int32{}
	behind := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		came.Add(1)
		b, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(out, r.Host+" "+r.RequestURI+" "+string(b))
	}))
	t.Cleanup(behind.Close)
	to, err := url.Parse(behind.URL)
	if err != nil {
		t.Fatal(err)
	}
	w = between.New(to, &http.Transport{DisableCompression: true})
	front := httptest.NewServer(w)
	t.Cleanup(func() { w.Set(between.Pass); front.Close() })
	return w, front.URL, came
}

func put(ctx context.Context, t *testing.T, target, body string) (int, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "s3.example"
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// What is passed on is what was signed: host, path and query as they were.
func TestPassesOnWhatWasSigned(t *testing.T) {
	t.Parallel()
	_, at, _ := way(t)
	const uri = "/b/users/ann/%D0%A4%20%24%2F1?X-Amz-Signature=a%2Bb;c&uploads"
	status, got, err := put(t.Context(), t, at+uri, "body")
	if err != nil || status != http.StatusOK || got != "s3.example "+uri+" body" {
		t.Errorf("%d %q %v", status, got, err)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	for mode, want := range map[between.Mode]struct {
		status int // 0: no answer
		came   int32
	}{
		between.Pass: {200, 1}, between.Unavailable: {503, 0}, between.TooMany: {429, 0}, between.Failing: {500, 0},
		between.BreakOff: {0, 0}, between.Drop: {202, 0}, between.Double: {200, 2},
	} {
		w, at, came := way(t)
		w.Set(mode)
		status, body, err := put(t.Context(), t, at+"/x", "body")
		if status != want.status || (err != nil) != (want.status == 0) || came.Load() != want.came {
			t.Errorf("mode %d: %d %q %v, %d came behind; want %+v", mode, status, body, err, came.Load(), want)
		}
		if status == http.StatusOK && body != "s3.example /x body" {
			t.Errorf("mode %d: %q", mode, body)
		}
	}
}

// Who is held up gets no answer from a server that stalls, and a late one from one that delays.
func TestHeldUp(t *testing.T) {
	t.Parallel()
	for mode, want := range map[between.Mode]int{between.Stall: 0, between.Delay: 200} {
		w, at, came := way(t)
		w.Set(mode)
		done := make(chan int)
		go func() {
			status, _, _ := put(t.Context(), t, at+"/x", "")
			done <- status
		}()
		for w.Held() == 0 {
			runtime.Gosched()
		}
		if came.Load() != 0 {
			t.Errorf("mode %d passed it on", mode)
		}
		w.Set(between.Pass)
		if status := <-done; status != want {
			t.Errorf("mode %d: %d, want %d", mode, status, want)
		}
	}
}

// A moment comes once, after the server has answered, and who called waits until the strike.
func TestMoment(t *testing.T) {
	t.Parallel()
	w, at, came := way(t)
	m := w.Await(func(r *http.Request, status int) bool { return r.URL.Path == "/commit" && status == http.StatusOK })
	if status, _, err := put(t.Context(), t, at+"/other", ""); status != http.StatusOK {
		t.Fatal(status, err)
	}
	done := make(chan int)
	go func() {
		status, _, _ := put(t.Context(), t, at+"/commit", "")
		done <- status
	}()
	if r := <-m.Came(); r.URL.Path != "/commit" || came.Load() != 2 {
		t.Errorf("%s, %d came behind", r.URL.Path, came.Load())
	}
	select {
	case <-done:
		t.Error("it was not held")
	default:
	}
	if status, _, err := put(t.Context(), t, at+"/commit", ""); status != http.StatusOK {
		t.Error("the next one is held, too:", status, err)
	}
	m.Go()
	if status := <-done; status != http.StatusOK {
		t.Error(status)
	}
	over := w.Await(func(*http.Request, int) bool { return true })
	over.Go()
	if status, _, err := put(t.Context(), t, at+"/x", ""); status != http.StatusOK {
		t.Error("a moment that is over holds:", status, err)
	}
}
