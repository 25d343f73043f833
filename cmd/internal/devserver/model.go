package devserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/unip-knative/unip/functions/inference/service"
)

// Model is a model that lies in a folder in the role of a box. It implements service.Changing: a
// newer version lies where the older one did, and a worker keeps what it has loaded.
type Model struct {
	boxes, name string // the folder of boxes, and the model's path below it
	path        string
	folder      bool

	mu      sync.Mutex
	seen    string // version at the last look
	current string // version that workers are given; "" while there is none
	size    int64  // of the last look
}

// maxFiles of a model that is a folder, as in a cluster.
const maxFiles = 10_000

// OpenModel looks for the object of a box, a folder's name ends in "/", below the folder of boxes:
// <boxes>/<box>/<object>.
func OpenModel(boxes, box, object string) *Model {
	name := filepath.Join(box, filepath.FromSlash(object))
	m := &Model{boxes: boxes, name: name, path: filepath.Join(boxes, name), folder: strings.HasSuffix(object, "/")}
	m.seen = m.version()
	m.current = m.seen
	return m
}

// String is the model's path.
func (m *Model) String() string { return m.path }

// Missing says why there is no model, "" when there is one.
func (m *Model) Missing() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	info, err := within(m.boxes, m.name)
	switch {
	case m.current != "":
		return ""
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "it cannot be looked at, or is a link that leads out of the folder of boxes: " + err.Error()
	case err != nil:
		return "it is not there yet"
	case info.IsDir() && !m.folder:
		return "it is a folder, and modelPath names a file"
	case !info.IsDir() && m.folder:
		return "it is a file, and modelPath names a folder"
	}
	return "it is empty"
}

// Fetch gives the file where it is.
func (m *Model) Fetch(context.Context) (service.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current == "" {
		return service.File{}, service.ErrMissing
	}
	if _, err := within(m.boxes, m.name); err != nil {
		return service.File{}, service.ErrMissing
	}
	return service.File{Path: m.path, ETag: m.current, Size: m.size}, nil
}

// Look is the version that Fetch would give.
func (m *Model) Look(context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.current == "" {
		return "", service.ErrMissing
	}
	return m.current, nil
}

// Keep has nothing to do: the files are the developer's.
func (*Model) Keep(bool) error { return nil }

// event is what a look has found.
type event int

const (
	same event = iota
	came
	changed
)

// poll looks once. A new version counts when the next look finds it the same: it may have been half
// written. A model that goes away stays loaded, as in a cluster.
func (m *Model) poll() event {
	v := m.version()
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.current
	switch {
	case v != m.seen:
		m.seen = v
		return same
	case v == "" || v == last:
		return same
	}
	m.current = v
	if last == "" {
		return came
	}
	return changed
}

// version tells one state of the model's files from another, by names, sizes and times; "" is no
// model.
func (m *Model) version() string {
	root, err := os.OpenRoot(m.boxes)
	if err != nil {
		return ""
	}
	defer root.Close()
	info, err := root.Stat(m.name)
	if err != nil || info.IsDir() != m.folder || !(info.IsDir() || info.Mode().IsRegular()) {
		return ""
	}
	h, n, size := sha256.New(), 0, int64(0)
	err = fs.WalkDir(root.FS(), filepath.ToSlash(m.name), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := root.Stat(path) // of what a link points at, which is in the folder as well
		if err != nil || info.IsDir() {
			return err
		}
		if !info.Mode().IsRegular() { // a pipe would hold whoever opens it
			return fs.ErrInvalid
		}
		if n++; n > maxFiles {
			return fs.SkipAll
		}
		size += info.Size()
		fmt.Fprintf(h, "%q %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil || n == 0 {
		return ""
	}
	m.mu.Lock()
	m.size = size
	m.mu.Unlock()
	return fmt.Sprintf("%x", h.Sum(nil)[:16])
}
