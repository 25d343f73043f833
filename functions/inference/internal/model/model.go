// Package model holds a component's model: fetched from its source, loaded by the workers, once.
//
// It need not be there when the component starts: then every call looks again, at most once a
// second, and the first that finds it brings it.
package model

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// lookAgain is the least time between two looks for a model that is not there.
const lookAgain = time.Second

var (
	// ErrMissing: the box has no such object (yet).
	ErrMissing = errors.New("the model is not in its box")
	// ErrUnavailable: the storage did not answer, or there are no credentials yet.
	ErrUnavailable = errors.New("the storage of the model does not answer")
	// ErrInvalid: the object is there, and cannot be brought as it is: it is too large for the
	// disk, say. Looking again is no use until it is replaced.
	ErrInvalid = errors.New("the model cannot be used")
)

// Source is where a model comes from. Its String names the model in the log.
type Source interface {
	fmt.Stringer
	// Fetch brings the model to where the workers read it. Calls do not overlap. Errors:
	// ErrMissing, ErrUnavailable, ErrInvalid.
	Fetch(ctx context.Context) (File, error)
}

// File is a fetched model.
type File struct {
	// Path is where the workers find it, a file or a folder.
	Path string
	// ETag tells one version of it from another; never empty.
	ETag string
	Size int64 // bytes
}

// Model is the model of a component.
type Model struct {
	Source Source
	// Load hands the path to the workers and returns when one has loaded it.
	Load func(ctx context.Context, path string) error
	// Fetched is told of a model that has come, before it is loaded.
	Fetched func(took time.Duration, size int64)
	Log     *slog.Logger

	mu     sync.Mutex // held while looking: others wait for the same look
	looked time.Time
	last   error
	etag   string
}

// ETag is that of the loaded model, "" before.
func (m *Model) ETag() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.etag
}

// Get makes sure that the model is loaded. Calls at the same time share one look, and a look that
// failed is repeated after lookAgain at the earliest. Errors: ErrMissing, ErrUnavailable,
// ErrInvalid, Load's.
func (m *Model) Get(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.etag != "" {
		return nil
	}
	if m.last != nil && time.Since(m.looked) < lookAgain {
		return m.last
	}
	m.last = m.bring(ctx)
	m.looked = time.Now()
	return m.last
}

func (m *Model) bring(ctx context.Context) error {
	start := time.Now()
	got, err := m.Source.Fetch(ctx)
	if err != nil {
		if !errors.Is(err, ErrMissing) {
			m.Log.Error("fetching the model", "object", m.Source.String(), "error", err)
		}
		return err
	}
	m.Log.Info("model fetched", "object", m.Source.String(), "etag", got.ETag, "bytes", got.Size, "seconds",
		time.Since(start).Seconds())
	if m.Fetched != nil {
		m.Fetched(time.Since(start), got.Size)
	}
	if err := m.Load(ctx, got.Path); err != nil {
		return err
	}
	m.etag = got.ETag
	return nil
}
