package files

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/functions/inference/internal/rights"
)

const (
	// MaxSize of all files that one call gets, and of all that it returns, in bytes.
	MaxSize = 1 << 30
	// MaxFiles that one call gets, and that it returns.
	MaxFiles = rights.Max
	// atOnce is how many files of a call are fetched, or stored, at once.
	atOnce = 4
)

// Errors of Storage.
var (
	// ErrMissing: the caller has no such file.
	ErrMissing = errors.New("there is no such file")
	// ErrUnavailable: the storage does not answer, or there are no credentials yet.
	ErrUnavailable = errors.New("the storage of files does not answer")
	// ErrFull: what is to be stored does not fit into the box.
	ErrFull = errors.New("the box is full")
	// ErrChanged: the file is another one by now.
	ErrChanged = errors.New("the file has been replaced")
)

// Storage holds users' files. It is safe for concurrent use.
type Storage interface {
	// Stat looks at a user's file.
	Stat(ctx context.Context, user string, p Place) (Version, error)
	// Fetch brings that version into a local file of mode 0644, which appears whole or not at all.
	Fetch(ctx context.Context, user string, p Place, v Version, path string) error
	// Store stores all contents, or none: ErrFull when they do not fit.
	Store(ctx context.Context, user string, all []Content) error
}

// Version is one version of a file. Tag tells it from others.
type Version struct {
	Size int64 // bytes
	Tag  string
}

// Content is a file to store. Its bytes are read at their places, the file's own position is not
// used.
type Content struct {
	Place Place
	Type  string // media type
	File  *os.File
	Size  int64 // bytes
}

// Files serves the FILE values of a component's calls.
type Files struct {
	// Dir is a folder that the function's container sees under the same path and can read. Nothing
	// else is in it.
	Dir string
	// Boxes are those that the component is connected to.
	Boxes   Boxes
	Storage Storage
	// Component is its name, the first part of the group of outputs; Namespace the module's, "" if
	// it is not known.
	Component, Namespace string
	// Timeout bounds the fetching of a call's files, and the storing.
	Timeout time.Duration
	Log     *slog.Logger

	used atomic.Int64 // bytes of Dir
}

// Prepare empties the folder: a server that was killed has left the files of its calls there.
func (f *Files) Prepare() error {
	left, err := os.ReadDir(f.Dir)
	if err != nil {
		return fmt.Errorf("the folder of files: %w", err)
	}
	for _, x := range left {
		if err := os.RemoveAll(filepath.Join(f.Dir, x.Name())); err != nil {
			return fmt.Errorf("emptying the folder of files: %w", err)
		}
	}
	return nil
}

// reserve takes room for a call's files, unless others have it.
func (f *Files) reserve(size int64) bool {
	if f.used.Add(size) <= component.FilesSpace {
		return true
	}
	f.used.Add(-size)
	return false
}

// diskFull reports an error of a disk without space, or of a quota.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
