package model

import (
	"context"
	"errors"
	"time"
)

// asleep is how long ago the last look may be when a call comes. Longer, and this process has not
// run meanwhile, or the storage did not answer.
const asleep = 60 * time.Second

// Follow looks for newer versions of the model at this pace, and brings them into service, until
// the context ends. A source that does not change has none.
//
// A version that cannot be used is not tried again; the one before stays in service, as it does
// when the model goes away.
func (m *Model) Follow(ctx context.Context, pace time.Duration) {
	source, ok := m.Source.(Changing)
	if !ok {
		return
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-m.wake:
		}
		if m.ETag() != "" { // else the calls look for it
			m.look(ctx, source)
		}
		m.seen.Store(time.Now().Unix())
	}
}

// Init comes before everything else.
func (m *Model) Init() {
	m.wake = make(chan struct{}, 1)
	m.seen.Store(time.Now().Unix())
}

// Called tells of a call. It does not wait for a newer version; when the last look is long ago,
// there is one at once.
func (m *Model) Called() {
	if time.Now().Unix()-m.seen.Load() <= int64(asleep/time.Second) {
		return
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// look looks once.
func (m *Model) look(ctx context.Context, source Changing) {
	etag, err := source.Look(ctx)
	switch {
	case errors.Is(err, ErrMissing), ctx.Err() != nil:
		return
	case errors.Is(err, ErrInvalid):
		etag = "" // a folder of too many files, say, which has none
	case err != nil:
		m.Log.Warn("looking for a newer model", "object", source.String(), "error", err)
		return
	case etag == m.ETag():
		m.news.Store(nil)
		return
	}
	known := m.news.Load()
	if known != nil && known.state == Outdated && known.etag == etag {
		return
	}
	if err == nil {
		m.news.Store(&news{state: Updating})
		err = m.update(ctx, source)
	}
	switch {
	case err == nil:
		m.news.Store(nil)
		m.Log.Info("a newer model is in service", "object", source.String(), "etag", m.ETag())
		m.updated(true)
	case ctx.Err() != nil:
	case errors.Is(err, ErrInvalid), errors.Is(err, ErrUnfit):
		m.news.Store(&news{state: Outdated, etag: etag})
		m.Log.Error("the newer model cannot be used, the one before stays in service", "object", source.String(),
			"newer", etag, "etag", m.ETag(), "error", err)
		m.updated(false)
	default:
		m.Log.Warn("the newer model is not in service yet", "object", source.String(), "newer", etag, "etag", m.ETag(),
			"error", err)
	}
}

// update brings the newer version into service, and removes what is not.
func (m *Model) update(ctx context.Context, source Changing) error {
	err := m.bring(ctx, m.Swap)
	if ctx.Err() != nil { // it may be in service or not
		return err
	}
	if kept := source.Keep(err == nil); kept != nil {
		m.Log.Error("removing a model that nobody reads", "object", source.String(), "error", kept)
	}
	return err
}

func (m *Model) updated(served bool) {
	if m.Updated != nil {
		m.Updated(served)
	}
}
