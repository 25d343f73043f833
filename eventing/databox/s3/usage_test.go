//go:build integration

package s3_test

import (
	"errors"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

func TestUsageIsReadBack(t *testing.T) {
	t.Parallel()
	server := miniotest.Start(t)
	at := databox.UsageOf(server.Bucket(t), "pu-ann", "weights")
	if _, ok, err := s3.ReadUsage(t.Context(), server.Client, at); ok || err != nil {
		t.Fatalf("before it was counted: %v, %v", ok, err)
	}
	want := databox.Usage{Capacity: 10, Used: 7, Counted: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	if err := s3.WriteUsage(t.Context(), server.Client, at, want); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := s3.ReadUsage(t.Context(), server.Client, at); got != want || !ok || err != nil {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
}

// A box that has not been counted yet takes what an empty one does.
func TestABoxBeforeItIsCounted(t *testing.T) {
	t.Parallel()
	server := miniotest.Start(t)
	at := databox.UsageOf(server.Bucket(t), "pu-ann", "new")
	for capacity, full := range map[int64]bool{10: true, 11: false, 0: false} {
		at.Capacity = capacity
		err := (&s3.Box{Client: server.Client, Usage: &at}).Fit(t.Context(), 11)
		if _, is := errors.AsType[*databox.FullError](err); is != full || !full && err != nil {
			t.Errorf("11 bytes into a new box of %d: %v", capacity, err)
		}
	}
}
