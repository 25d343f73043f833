package outage_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unip-knative/unip/cmd/controller/internal/outage"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An outage begins with the first request that has no answer, and ends with the first that has one,
// whatever it says.
func TestAnOutageIsFromTheFirstSilenceToTheFirstAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var status int
		var fault error
		w := outage.New(roundTripper(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			if fault != nil {
				return nil, fault
			}
			return &http.Response{StatusCode: status, Body: http.NoBody}, nil
		}))
		began := time.Now()
		for i, x := range []struct {
			status int
			err    error
			since  time.Duration // after the beginning; negative: there is no outage
		}{
			{http.StatusOK, nil, -1},
			{0, errors.New("connection refused"), time.Second},
			{http.StatusServiceUnavailable, nil, time.Second},
			{0, context.Canceled, time.Second},
			{http.StatusNotFound, nil, -1},
			{0, context.Canceled, -1},
			{0, context.DeadlineExceeded, 6 * time.Second},
			{http.StatusForbidden, nil, -1},
			{http.StatusBadGateway, nil, 8 * time.Second},
		} {
			status, fault = x.status, x.err
			req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://s3", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := w.RoundTrip(req)
			if !errors.Is(err, x.err) {
				t.Errorf("%d: %v", i, err)
			}
			if err == nil {
				answer.Body.Close()
			}
			want := time.Time{}
			if x.since >= 0 {
				want = began.Add(x.since)
			}
			if got := w.Since(); !got.Equal(want) {
				t.Errorf("%d: an outage since %v, want %v", i, got, want)
			}
		}
	})
}
