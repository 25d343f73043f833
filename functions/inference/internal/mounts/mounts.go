package mounts

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/unip-knative/unip/eventing/component"
)

// Errors of Storage.
var (
	// ErrFull: what is to be stored does not fit into the box.
	ErrFull = errors.New("the box is full")
	// ErrInvalid: the folders cannot be brought as they are; trying again is no use.
	ErrInvalid = errors.New("the mounts cannot be used")
)

// ErrFullOfCalls: as many calls wait as may, until those of the other sort have ended.
var ErrFullOfCalls = errors.New("too many calls wait for those that the gateway has signed, or has not")

// Fetched is what a start has brought.
type Fetched struct {
	Files int
	Bytes int64
}

// Storage is where the folders come from, and what keeps what calls write. It is safe for
// concurrent use, but for Fetch.
type Storage interface {
	// Fetch brings all folders, and says what they hold. ErrInvalid is final; after another error
	// it may be called again, and brings what is missing.
	Fetch(ctx context.Context) (Fetched, error)
	// Fit is ErrFull when so many bytes do not fit into the box of an entry.
	Fit(ctx context.Context, entry int, size int64) error
	// Store stores a file of an entry under a key of its box.
	Store(ctx context.Context, entry int, key string, file *os.File, size int64) error
}

// Mounts are the folders of a component.
type Mounts struct {
	component.Mounts
	// Dir has a folder for each entry, which the function's container has at the entry's path.
	Dir     string
	Storage Storage
	// Unsigned says that calls without the gateway's signature run, too.
	Unsigned bool
	// Timeout bounds the storing of what a call has written.
	Timeout time.Duration
	// Stored is told of what was stored; nil: nobody is.
	Stored func(files int, bytes int64)
	// Reveal has the function's user let this one read files and folders of theirs, by their paths
	// in the function's container; nil: there is no other user.
	Reveal func(ctx context.Context, paths []string) error
	Log    *slog.Logger

	entries []int         // of those that calls write to
	storing chan struct{} // held by the call that stores
	turns   turns

	mu      sync.Mutex
	changes changes
	running map[*Call]int64 // by the number at which they began
}

// Writable reports that calls write to some of the folders.
func (m *Mounts) Writable() bool {
	return slices.ContainsFunc(m.Entries, func(e component.Mount) bool { return e.Write })
}

// Init comes before everything else.
func (m *Mounts) Init() {
	m.storing = make(chan struct{}, 1)
	m.running = map[*Call]int64{}
	m.turns.stored, m.turns.changed = true, m.turned
}

// Watch begins to listen to what is written. It comes when the folders are there, and before the
// function can write; after an error it may be called again.
func (m *Mounts) Watch() error {
	if !m.Writable() {
		return nil
	}
	err := m.watch()
	if err != nil {
		m.Close()
	}
	return err
}

func (m *Mounts) watch() (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries, m.changes = nil, changes{files: map[place]change{}, moved: map[uint32]change{}, sure: time.Now()}
	if m.changes.watch, err = newWatch(m.told); err != nil {
		return err
	}
	for i, e := range m.Entries {
		if !e.Write {
			continue
		}
		root, err := os.OpenRoot(m.folder(i))
		if err != nil {
			return err
		}
		m.entries, m.changes.roots = append(m.entries, i), append(m.changes.roots, root)
		if err := m.changes.enter(place{len(m.entries) - 1, "."}, never); err != nil {
			return err
		}
	}
	return nil
}

// never is a time that comes after that of every file.
var never = time.Unix(1<<40, 0)

// Close ends the watch.
func (m *Mounts) Close() {
	m.mu.Lock()
	w := m.changes.watch
	m.changes.watch = nil
	for _, r := range m.changes.roots {
		_ = r.Close()
	}
	m.mu.Unlock()
	if w != nil { // it waits for who reads, who may wait for the lock
		w.close()
	}
}

// told takes what has happened as soon as it has: the kernel keeps only so much, and a new folder is
// not listened to before it is known.
func (m *Mounts) told() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.look()
}

func (m *Mounts) look() {
	if m.changes.watch == nil {
		return
	}
	if err := m.changes.take(); err != nil && !errors.Is(err, os.ErrClosed) {
		m.Log.Error("looking at what calls write", "error", err)
	}
}

// turned forgets what calls have written that are not stored, before one begins that is.
func (m *Mounts) turned(stored bool) {
	if !stored {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.look()
	clear(m.changes.files)
}

// Call is one call that may write to the folders.
type Call struct {
	mounts *Mounts
	signed bool

	mu   sync.Mutex
	left bool // no worker has it any more
	done bool // what it has written is stored, or will not be
}

// Begin waits until a call may run. signed says that the gateway has signed it: otherwise nothing is
// stored for it. It ends when both Left, told that no worker has the call any more, and End have been
// called.
func (m *Mounts) Begin(ctx context.Context, signed bool) (*Call, error) {
	c := &Call{mounts: m, signed: signed}
	if m.Unsigned {
		if err := m.turns.take(ctx, signed); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.look()
	m.running[c] = m.changes.number
	return c, nil
}

// Left says that no worker has the call any more.
func (c *Call) Left() { c.end(&c.left) }

// End says that nothing of the call is stored any more. It may be called again.
func (c *Call) End() { c.end(&c.done) }

// end ends a part of the call, once; the last part ends the call.
func (c *Call) end(part *bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *part {
		return
	}
	if *part = true; !c.left || !c.done {
		return
	}
	m := c.mounts
	m.mu.Lock()
	delete(m.running, c)
	oldest := m.changes.number
	for began := range maps.Values(m.running) {
		oldest = min(oldest, began)
	}
	m.changes.forget(oldest)
	m.mu.Unlock()
	if m.Unsigned {
		m.turns.give()
	}
}
