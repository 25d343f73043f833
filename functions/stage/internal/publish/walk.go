package publish

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"unicode"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
	"github.com/unip-knative/unip/functions/stage/internal/volume"
)

// maxFiles bounds the files of one output; their list must fit the commit.
const maxFiles = 200_000

// found is a file of an output's folder.
type found struct {
	path string // below the folder, with slashes
	info fs.FileInfo
}

// walk lists the regular files below root. Anything that is neither a file nor a folder is an error
// that names it: a link would make publish, which sees more than the user's container, read what
// the user's container must not; a socket, a device or a pipe has no content. A file with several
// names (a hard link) may be something else's: it is refused as well.
func walk(ctx context.Context, root *os.Root) ([]found, error) {
	var all []found
	err := fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return volume.Final(fmt.Errorf("%q cannot be read: %w", p, err))
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := regular(p, info); err != nil {
			return err
		}
		if err := checkName(p); err != nil {
			return &storage.Permanent{Err: err}
		}
		if len(all) == maxFiles {
			return storage.Permanentf("more than %d files", maxFiles)
		}
		all = append(all, found{path: p, info: info})
		return nil
	})
	return all, err
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

func regular(p string, info fs.FileInfo) error {
	if m := info.Mode(); !m.IsRegular() {
		return storage.Permanentf("%q is a %s; outputs may hold files and folders only", p, volume.Kind(m))
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Nlink > 1 {
		return storage.Permanentf("%q is a hard link; outputs may hold files with one name only", p)
	}
	return nil
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
	if err != nil || !os.SameFile(info, f.info) || info.Size() != f.info.Size() {
		file.Close()
		return nil, storage.Permanentf("%q has changed while it was published", f.path)
	}
	return file, nil
}
