// Package model holds a component's model: fetched from its source, loaded by the workers, and
// fetched and loaded anew when there is a newer version.
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
	"sync/atomic"
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
	// ErrUnfit: a worker could not load it.
	ErrUnfit = errors.New("the model cannot be loaded")
)

// Source is where a model comes from. Its String names the model in the log. Calls do not overlap.
type Source interface {
	fmt.Stringer
	// Fetch brings the model to where the workers read it, beside the one that is in service.
	// Errors: ErrMissing, ErrUnavailable, ErrInvalid.
	Fetch(ctx context.Context) (File, error)
}

// Changing is a source whose model may change while it is served.
type Changing interface {
	Source
	// Look is the ETag of the model that Fetch would bring. Errors are Fetch's.
	Look(ctx context.Context) (etag string, err error)
	// Keep says that the model that was fetched last is the one in service, or that it is not, and
	// nobody reads the other one (any more).
	Keep(last bool) error
}

// File is a fetched model.
type File struct {
	// Path is where the workers find it, a file or a folder.
	Path string
	// ETag tells one version of it from another; never empty.
	ETag string
	Size int64 // bytes
}

// State is how the model that is served stands to the one in its box.
type State string

// The states.
const (
	Current  State = ""         // it is the newest that was seen
	Updating State = "updating" // a newer one is on its way
	Outdated State = "outdated" // the newer one cannot be used
)

// Model is the model of a component.
type Model struct {
	Source Source
	// Load hands a model to the workers and returns when one has loaded it. Swap brings a newer
	// one into service and returns when no worker has another; its error may be ErrUnfit.
	Load, Swap func(ctx context.Context, f File) error
	// Fetched is told of a model that has come, before it is loaded; Updated of each newer version
	// and whether it is in service now.
	Fetched func(took time.Duration, size int64)
	Updated func(served bool)
	Log     *slog.Logger

	etag atomic.Pointer[string] // of the model in service
	news atomic.Pointer[news]

	mu   sync.Mutex // held while looking for the first one: others wait for the same look
	last error
	when time.Time

	// Follow's
	seen atomic.Int64 // the wall clock's seconds at the last look
	wake chan struct{}
}

// news is what is known of a newer version.
type news struct {
	state State
	etag  string // of what cannot be used
}

// State of what is served.
func (m *Model) State() State {
	if n := m.news.Load(); n != nil {
		return n.state
	}
	return Current
}

// ETag is that of the loaded model, "" before.
func (m *Model) ETag() string {
	if e := m.etag.Load(); e != nil {
		return *e
	}
	return ""
}

// Get makes sure that the model is loaded. Calls at the same time share one look, and a look that
// failed is repeated after lookAgain at the earliest. Errors: ErrMissing, ErrUnavailable,
// ErrInvalid, Load's.
func (m *Model) Get(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ETag() != "" {
		return nil
	}
	if m.last != nil && time.Since(m.when) < lookAgain {
		return m.last
	}
	m.last = m.bring(ctx, m.Load)
	m.when = time.Now()
	return m.last
}

// bring fetches the model and puts it into service.
func (m *Model) bring(ctx context.Context, serve func(context.Context, File) error) error {
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
	if err := serve(ctx, got); err != nil {
		return err
	}
	m.etag.Store(&got.ETag)
	return nil
}
