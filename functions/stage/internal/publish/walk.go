package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"unicode"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/internal/regular"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
	"github.com/unip-knative/unip/functions/stage/internal/volume"
)

const (
	// maxFiles bounds the files of one output; their list must fit the commit.
	maxFiles = 200_000
	// portion is how much of a folder's listing is in memory at once.
	portion = 1000
)

// found is a file of an output's folder.
type found struct {
	path string // below the folder, with slashes
	size int64
	// device and inode are what makes it the file that was found.
	device, inode uint64
}

// walk lists the regular files below root. Anything that is neither a file nor a folder is an error
// that names it: a link would make publish, which sees more than the user's container, read what
// the user's container must not; a socket, a device or a pipe has no content. A file with several
// names (a hard link) may be something else's: it is refused as well.
//
// It counts while it reads, so that millions of files are more than most, and not the end for want
// of memory.
func walk(ctx context.Context, root *os.Root, most int) ([]found, error) {
	w := &walker{ctx: ctx, most: most}
	err := w.folder(root, "")
	return w.all, err
}

type walker struct {
	ctx  context.Context
	most int
	all  []found
}

// folder takes the files of a folder, whose path below the output's ends in "/" or is empty.
func (w *walker) folder(root *os.Root, at string) error {
	dir, err := root.Open(".")
	if err != nil {
		return unreadable(at, err)
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(portion)
		for _, e := range entries {
			if err := w.entry(root, at+e.Name(), e.Name()); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return unreadable(at, err)
		case w.ctx.Err() != nil:
			return context.Cause(w.ctx)
		}
	}
}

// entry takes one file or all of one folder.
func (w *walker) entry(root *os.Root, p, name string) error {
	info, err := root.Lstat(name)
	switch {
	case err != nil:
		return unreadable(p, err)
	case info.IsDir():
		if len(p) > stage.MaxName { // which bounds how deep it goes, too
			return storage.Permanentf("the folder %.80q… is longer than %d bytes", p, stage.MaxName)
		}
		below, err := root.OpenRoot(name)
		if err != nil {
			return unreadable(p, err)
		}
		defer below.Close()
		return w.folder(below, p+"/")
	}
	f, err := foundOf(p, info)
	if err != nil {
		return err
	}
	if err := checkName(p); err != nil {
		return &storage.Permanent{Err: err}
	}
	if len(w.all) == w.most {
		return storage.Permanentf("more than %d files", w.most)
	}
	w.all = append(w.all, f)
	return nil
}

func unreadable(p string, err error) error {
	return volume.Final(fmt.Errorf("%q cannot be read: %w", p, err))
}

// checkName reports an error for a path that later stages could not fetch, or that the file API, in
// whose place the file may be copied, could not serve.
func checkName(p string) error {
	if err := stage.CheckPath(p); err != nil {
		return err
	}
	err := databox.CheckObjectPath(p)
	if err == nil && strings.ContainsFunc(p, unicode.IsControl) { // those beyond ASCII act in terminals too
		err = errors.New("the path has a control character")
	}
	if err != nil {
		return fmt.Errorf("%q cannot be a file's name: %w", p, err)
	}
	return nil
}

// checkCopy does the same for the whole place of a copy.
func checkCopy(to stage.Folder, p string) error {
	key := to.Prefix + p
	_, below, ok := databox.SplitKey(key)
	switch err := databox.CheckObjectPath(below); {
	case !ok:
		return storage.Permanentf("%q cannot be copied to %q: nobody's files are there", p, to.Prefix)
	case err != nil:
		return storage.Permanentf("%q cannot be copied to %q: %w", p, to.Prefix, err)
	case len(key) > databox.MaxKey:
		return storage.Permanentf("%q cannot be copied to %q: its key would be longer than %d bytes",
			p, to.Prefix, databox.MaxKey)
	}
	return nil
}

// foundOf is the file that info is of, when it is a file with one name.
func foundOf(p string, info fs.FileInfo) (found, error) {
	s, ok := info.Sys().(*syscall.Stat_t)
	switch m := info.Mode(); {
	case !m.IsRegular():
		return found{}, storage.Permanentf("%q is a %s; outputs may hold files and folders only", p, regular.Kind(m))
	case !ok:
		return found{}, fmt.Errorf("%q: the system does not say which file it is", p)
	case s.Nlink > 1:
		return found{}, storage.Permanentf("%q is a hard link; outputs may hold files with one name only", p)
	}
	return found{path: p, size: info.Size(), device: s.Dev, inode: s.Ino}, nil
}

// open opens a file that walk has found, and makes sure that it is still that file: no link is
// followed in any part of the path, a pipe put in its place does not block.
func open(root *os.Root, f found) (*os.File, error) {
	dir, err := root.OpenRoot(path.Dir(f.path))
	if err != nil {
		return nil, volume.Final(fmt.Errorf("%q: %w", f.path, err))
	}
	defer dir.Close()
	file, err := dir.OpenFile(path.Base(f.path), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, syscall.ELOOP) {
			return nil, storage.Permanentf("%q is a symbolic link; outputs may hold files and folders only", f.path)
		}
		return nil, volume.Final(fmt.Errorf("%q: %w", f.path, err))
	}
	info, err := file.Stat()
	if err == nil {
		var now found
		if now, err = foundOf(f.path, info); err == nil && now == f {
			return file, nil
		}
	}
	file.Close()
	return nil, storage.Permanentf("%q has changed while it was published", f.path)
}
