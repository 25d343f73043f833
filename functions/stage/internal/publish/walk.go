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

// contents are what an output's folder has.
type contents struct {
	files []found
	// folders are those without anything in them.
	folders []string
}

// found is a file of an output's folder.
type found struct {
	path string // below the folder, with slashes
	real string // the same without links
	size int64
	// id is what makes it the file that was found.
	id inode
	// names are how many the file has, wherever they are.
	names uint64
}

type inode struct{ device, number uint64 }

// walk lists what is below root, which the user's container sees at these paths: regular files,
// empty folders, and in the place of a link what it leads to, as long as that is below root too.
//
// Everything else is an error that names it. A link that leads out would make publish, which sees
// more than the user's container, read what the user's container must not; so might a file that has
// another name elsewhere (a hard link). A socket, a device or a pipe has no content.
//
// It counts while it reads, so that millions of files are more than most, and not the end for want
// of memory.
func walk(ctx context.Context, root *os.Root, paths []string, most int) (contents, error) {
	w := &walker{ctx: ctx, links: links{root, paths}, most: most, within: map[string]bool{}, met: map[inode]uint64{}}
	if err := w.folder(root, place{real: "."}); err != nil {
		return contents{}, err
	}
	for _, f := range w.all.files {
		if f.names > 1 && w.met[f.id] < f.names {
			return contents{}, storage.Permanentf("%q is a hard link to a file that has another name outside of the output",
				f.path)
		}
	}
	return w.all, nil
}

type walker struct {
	ctx   context.Context
	links links
	most  int
	all   contents
	// within are the folders, without links, that it is in.
	within map[string]bool
	// met are how many names of a file with several were met.
	met map[inode]uint64
}

// place is where a file or a folder is: below the output's folder, and the same without links. They
// differ below a link.
type place struct{ path, real string }

func (p place) child(name string) place {
	below := path.Join(p.path, name)
	if p.path == p.real || p.path == "" {
		return place{below, below}
	}
	return place{below, path.Join(p.real, name)}
}

// folder takes what is in a folder. That it is in itself, by a link, would have no end.
func (w *walker) folder(root *os.Root, at place) error {
	if w.within[at.real] {
		return storage.Permanentf("%q is a symbolic link to a folder that it is in", at.path)
	}
	w.within[at.real] = true
	defer delete(w.within, at.real)
	dir, err := root.Open(".")
	if err != nil {
		return unreadable(at.path, err)
	}
	defer dir.Close()
	for empty := true; ; {
		entries, err := dir.ReadDir(portion)
		for _, e := range entries {
			empty = false
			if err := w.entry(root, e.Name(), at.child(e.Name())); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if empty && at.path != "" {
				w.all.folders = append(w.all.folders, at.path)
				return w.counted(at.path)
			}
			return nil
		case err != nil:
			return unreadable(at.path, err)
		case w.ctx.Err() != nil:
			return context.Cause(w.ctx)
		}
	}
}

// entry takes one file or all of one folder, which has this name below root.
func (w *walker) entry(root *os.Root, name string, at place) error {
	info, err := root.Lstat(name)
	if err != nil {
		return unreadable(at.path, err)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		if at.real, info, err = w.links.follow(at); err != nil {
			return err
		}
		root, name = w.links.root, at.real
	}
	if info.IsDir() {
		if len(at.path) > stage.MaxName { // which bounds how deep it goes, too
			return storage.Permanentf("the folder %.80q… is longer than %d bytes", at.path, stage.MaxName)
		}
		below, err := root.OpenRoot(name)
		if err != nil {
			return unreadable(at.path, err)
		}
		defer below.Close()
		return w.folder(below, at)
	}
	f, err := foundOf(at, info)
	if err != nil {
		return err
	}
	if at.path == at.real && f.names > 1 {
		w.met[f.id]++
	}
	w.all.files = append(w.all.files, f)
	return w.counted(at.path)
}

// counted checks the name of what was found last, and that it was not too much.
func (w *walker) counted(p string) error {
	if err := checkName(p); err != nil {
		return &storage.Permanent{Err: err}
	}
	if len(w.all.files)+len(w.all.folders) > w.most {
		return storage.Permanentf("more than %d files", w.most)
	}
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

// foundOf is the file at a place that info is of, when it is one.
func foundOf(at place, info fs.FileInfo) (found, error) {
	s, ok := info.Sys().(*syscall.Stat_t)
	switch m := info.Mode(); {
	case !m.IsRegular():
		return found{}, storage.Permanentf("%q is a %s; outputs may hold files and folders only", at.path, regular.Kind(m))
	case !ok:
		return found{}, fmt.Errorf("%q: the system does not say which file it is", at.path)
	}
	names, device := uint64(s.Nlink), uint64(s.Dev) //nolint:unconvert,gosec // they have other sizes on other systems
	return found{at.path, at.real, info.Size(), inode{device, s.Ino}, names}, nil
}

// open opens a file that walk has found, and makes sure that it is still that file: no link is
// followed in any part of the path, a pipe put in its place does not block.
func open(root *os.Root, f found) (*os.File, error) {
	dir, err := root.OpenRoot(path.Dir(f.real))
	if err != nil {
		return nil, volume.Final(fmt.Errorf("%q: %w", f.path, err))
	}
	defer dir.Close()
	file, err := dir.OpenFile(path.Base(f.real), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, syscall.ELOOP) {
			return nil, storage.Permanentf("%q is a symbolic link; outputs may hold files and folders only", f.path)
		}
		return nil, volume.Final(fmt.Errorf("%q: %w", f.path, err))
	}
	info, err := file.Stat()
	if err == nil {
		var now found
		if now, err = foundOf(place{f.path, f.real}, info); err == nil && now == f {
			return file, nil
		}
	}
	file.Close()
	return nil, storage.Permanentf("%q has changed while it was published", f.path)
}
