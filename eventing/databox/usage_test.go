package databox_test

import (
	"errors"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
)

func TestWhatFitsIntoABox(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		used, need int64
		missing    int64 // 0: it fits
	}{
		{0, 0, 0}, {0, 100, 0}, {0, 101, 1}, {40, 60, 0}, {40, 61, 1}, {100, 0, 1}, {100, 5, 5}, {130, 5, 5},
		{1, 1<<63 - 1, 1<<63 - 1 - 99},
	} {
		err := databox.Usage{Capacity: 100, Used: c.used}.Fit(c.need)
		var full *databox.FullError
		if !errors.As(err, &full) != (c.missing == 0) || full != nil && full.Missing() != c.missing {
			t.Errorf("%d more at %d of 100: %v, want %d missing", c.need, c.used, err, c.missing)
		}
	}
}

func TestUsageIsReadBack(t *testing.T) {
	t.Parallel()
	s3 := miniotest.Start(t)
	at := databox.UsageOf(s3.Bucket(t), "pu-ann", "weights")
	if _, ok, err := databox.ReadUsage(t.Context(), s3.Client, at); ok || err != nil {
		t.Fatalf("before it was counted: %v, %v", ok, err)
	}
	want := databox.Usage{Capacity: 10, Used: 7, Counted: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	if err := databox.WriteUsage(t.Context(), s3.Client, at, want); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := databox.ReadUsage(t.Context(), s3.Client, at); got != want || !ok || err != nil {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
}
