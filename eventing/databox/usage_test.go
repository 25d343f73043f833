package databox_test

import (
	"errors"
	"testing"

	"github.com/unip-knative/unip/eventing/databox"
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
