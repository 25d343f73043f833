package mounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/functions/internal/problem"
	"github.com/unip-knative/unip/functions/internal/regular"
)

// storedAtOnce is how many files are stored at once.
const storedAtOnce = 8

// written is a file that is to be stored.
type written struct {
	place
	change
	info fs.FileInfo
	key  string
}

// Store stores what was closed while the call ran. What other calls have closed by now goes with it:
// they find it stored when they end.
//
// The error is a problem.Problem, or the context's.
func (c *Call) Store(ctx context.Context) error {
	m := c.mounts
	if !c.signed {
		return nil
	}
	if _, _, some := m.collect(c); !some {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, m.Timeout)
	defer cancel()
	select {
	case m.storing <- struct{}{}:
		defer func() { <-m.storing }()
	case <-ctx.Done():
		return late(m)
	}
	if private := m.private(c); len(private) > 0 {
		if err := m.Reveal(ctx, private); err != nil { // what cannot be read is refused
			m.Log.Warn("asking for files that only their owner may read", "error", err)
		}
	}
	files, refused, _ := m.collect(c) // one before may have stored them
	err := m.store(ctx, files)
	if len(refused) > 0 { // whatever became of the others
		return refusal("invalid-result", http.StatusInternalServerError, strings.Join(refused, "; "))
	}
	return err
}

// private are the changed files and folders that only their owner may read, as tempfile makes them:
// by their paths in the function's container.
func (m *Mounts) private(c *Call) []string {
	if m.Reveal == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.look()
	found := map[string]bool{}
	for p := range m.changes.candidates(m.running[c]) {
		info, err := m.changes.roots[p.folder].Lstat(p.name)
		for errors.Is(err, fs.ErrPermission) && p.name != "." { // a folder above it is
			p.name = path.Dir(p.name)
			info, err = m.changes.roots[p.folder].Lstat(p.name)
		}
		if err != nil {
			continue
		}
		wanted := fs.FileMode(0o4)
		if info.IsDir() {
			wanted = 0o5
		}
		if (info.IsDir() || info.Mode().IsRegular()) && info.Mode().Perm()&wanted != wanted {
			found[path.Join(m.Entries[m.entries[p.folder]].Path, p.name)] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// collect looks at what has changed: files to store, and what is refused, of which the call is told.
// some says that there is anything.
func (m *Mounts) collect(c *Call) (files []written, refused []string, some bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.look()
	if err := m.changes.enterOpened(); err != nil {
		m.Log.Error("looking at what calls write", "error", err)
	}
	for p, x := range m.changes.candidates(m.running[c]) {
		w := written{place: p, change: x}
		entry := m.Entries[m.entries[p.folder]]
		err := m.examine(&w, entry)
		switch {
		case errors.Is(err, errWriting):
		case errors.Is(err, fs.ErrNotExist):
			m.changes.settle(p, x, true)
		case err != nil:
			some = true
			m.changes.settle(p, x, false)
			refused = append(refused, fmt.Sprintf("%s is not stored: %v", entry.Shown(p.name), err))
		default:
			some = true
			files = append(files, w)
		}
	}
	slices.SortFunc(files, func(a, b written) int { return strings.Compare(a.key, b.key) })
	slices.Sort(refused)
	if most := 5; len(refused) > most {
		refused = append(refused[:most], fmt.Sprintf("and %d more", len(refused)-most))
	}
	return files, refused, some
}

// errWriting: somebody has the file open and writes it.
var errWriting = errors.New("it is being written")

// examine looks at a place, and finds the key that its file goes to.
func (m *Mounts) examine(w *written, entry component.Mount) (err error) {
	root := m.changes.roots[w.folder]
	if w.info, err = root.Lstat(w.name); err != nil {
		return err
	}
	if w.info.IsDir() {
		return fmt.Errorf("its mode lets nobody but its owner look into it: %w", regular.ErrRefused)
	}
	if err := regular.Check(w.info); err != nil {
		return err
	}
	if !w.closed {
		return errWriting
	}
	w.key = entry.Prefix + w.name
	return CheckKey(w.key, m.Models[entry.Box])
}

// CheckKey refuses a key that a call's file must not have: users' files, a model, and what the file
// API could not serve.
func CheckKey(key string, models []string) error {
	if err := databox.CheckObjectPath(key); err != nil {
		return err
	}
	if err := databox.CheckDeveloperPath(key); err != nil || key+"/" == databox.UsersArea {
		return errors.New("users/ of a box is where users' files are; a mount never writes there")
	}
	for _, model := range models {
		folder := strings.TrimSuffix(model, "/") + "/"
		if key == model || strings.HasPrefix(key+"/", folder) && strings.HasSuffix(model, "/") ||
			strings.HasPrefix(folder, key+"/") {
			return fmt.Errorf("%q is where a component's model lies", model)
		}
	}
	return nil
}

// store stores the files, several at once.
func (m *Mounts) store(ctx context.Context, files []written) error {
	if len(files) == 0 {
		return nil
	}
	err := m.fits(ctx, files)
	var bytes int64
	var mu sync.Mutex
	done := map[place]bool{}
	if err == nil {
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(storedAtOnce)
		for _, w := range files {
			g.Go(func() error {
				n, err := m.storeOne(gctx, w)
				if err != nil {
					return fmt.Errorf("%s: %w", m.Entries[m.entries[w.folder]].Shown(w.name), err)
				}
				mu.Lock()
				defer mu.Unlock()
				done[w.place] = true
				bytes += n
				return nil
			})
		}
		err = g.Wait()
	}
	m.mu.Lock()
	for _, w := range files {
		m.changes.settle(w.place, w.change, done[w.place])
	}
	m.mu.Unlock()
	if m.Stored != nil && len(done) > 0 {
		m.Stored(len(done), bytes)
	}
	return m.explain(ctx, err)
}

func (m *Mounts) storeOne(ctx context.Context, w written) (int64, error) {
	f, err := regular.Open(m.changes.roots[w.folder], w.name, w.info)
	if errors.Is(err, fs.ErrNotExist) { // it was removed meanwhile, or is another one, which is a change of its own
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return w.info.Size(), m.Storage.Store(ctx, m.entries[w.folder], w.key, f, w.info.Size())
}

// fits refuses what would fill a box beyond its capacity.
func (m *Mounts) fits(ctx context.Context, files []written) error {
	need, first := map[string]int64{}, map[string]int{}
	for _, w := range files {
		entry := m.entries[w.folder]
		box := m.Entries[entry].Box
		need[box] += w.info.Size()
		if _, ok := first[box]; !ok {
			first[box] = entry
		}
	}
	for box, entry := range first {
		if err := m.Storage.Fit(ctx, entry, need[box]); err != nil {
			return fmt.Errorf("box %s: %w", box, err)
		}
	}
	return nil
}

// explain makes a problem of what went wrong.
func (m *Mounts) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	// The call's own time: a connection that is not made in its few seconds is a DeadlineExceeded too.
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return late(m)
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, ErrFull):
		return refusal("box-full", http.StatusInsufficientStorage, "what the call has written does not fit: "+err.Error())
	case errors.Is(err, regular.ErrRefused):
		return refusal("invalid-result", http.StatusInternalServerError, "a file is not stored: "+err.Error())
	}
	m.Log.Error("storing what a call has written", "error", err)
	return refusal("storage-unavailable", http.StatusServiceUnavailable,
		"the storage of the boxes does not take what the call has written")
}

func late(m *Mounts) error {
	return refusal(problem.Timeout, http.StatusGatewayTimeout,
		"what the call has written was not stored within "+m.Timeout.String())
}

func refusal(slug string, status int, detail string) problem.Problem {
	return problem.New(slug, status, "", detail)
}

// folder is where an entry's files lie.
func (m *Mounts) folder(entry int) string { return filepath.Join(m.Dir, component.Folder(entry)) }
