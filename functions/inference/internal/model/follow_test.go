package model

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// kept is a model in memory. Its text is the version.
type kept struct {
	text  string
	looks int
}

func (*kept) String() string { return "kept" }

func (k *kept) Fetch(context.Context) (File, error) {
	return File{Path: "/m", ETag: k.text, Size: 1}, nil
}

func (k *kept) Look(context.Context) (string, error) {
	k.looks++
	return k.text, nil
}

func (*kept) Keep(bool) error { return nil }

// A server that has slept looks for a newer model at the first call, not only at its next tick.
// While it is awake calls ask nothing of the storage.
func TestACallAfterSleepLooksForTheModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // its clock goes on when all of it waits
		source := &kept{text: "1"}
		m := &Model{Source: source, Log: slog.New(slog.DiscardHandler)}
		m.Load = func(context.Context, File) error { return nil }
		m.Swap = m.Load
		m.Init()
		if err := m.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
		go m.Follow(t.Context(), 24*time.Hour) // no tick comes
		called := func(after time.Duration, looks int, etag string) {
			t.Helper()
			<-time.After(after)
			m.Called()
			synctest.Wait()
			if source.looks != looks || m.ETag() != etag {
				t.Errorf("%d looks and model %q, want %d and %q", source.looks, m.ETag(), looks, etag)
			}
		}
		source.text = "2"
		called(asleep, 0, "1")
		called(time.Second, 1, "2")
		source.text = "3"
		called(time.Second, 1, "2")
		called(asleep-time.Second, 1, "2")
		called(time.Second, 2, "3")
	})
}

// While it is awake it looks at its pace, whether there are calls or not.
func TestAwakeItLooksAtItsPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := &kept{text: "1"}
		m := &Model{Source: source, Log: slog.New(slog.DiscardHandler)}
		m.Load = func(context.Context, File) error { return nil }
		m.Swap = m.Load
		m.Init()
		if err := m.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
		go m.Follow(t.Context(), 15*time.Second)
		source.text = "2"
		for looks, etag := range []string{"1", "2", "2"} {
			<-time.After(14 * time.Second) // 14, 28 and 42 s after its begin
			synctest.Wait()
			if source.looks != looks || m.ETag() != etag {
				t.Errorf("%d looks and model %q, want %d and %q", source.looks, m.ETag(), looks, etag)
			}
		}
	})
}
