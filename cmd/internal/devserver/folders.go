package devserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/unip-knative/unip/functions/inference/service"
)

// caller is who calls: here everybody is the same.
const caller = "local"

// Folders are folders in the role of the boxes that a component is connected to:
// <box>/<group…>/<file> of the file API is the file <Dir>/<box>/<group…>/<file>. It implements
// service.Storage.
type Folders struct {
	// Dir has a folder for each box.
	Dir string
	// Boxes are those of the component, Namespace the module's.
	Boxes     service.Boxes
	Namespace string
}

// files serves FILE values from the folders; those of a call are copied to a folder below dir.
func (f *Folders) files(dir string) (*service.Files, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return &service.Files{Dir: dir, Boxes: f.Boxes, Storage: f, Namespace: f.Namespace}, nil
}

func path(p service.Place) string { return filepath.Join(p.Box, filepath.FromSlash(p.Path)) }

// Stat implements service.Storage.
func (f *Folders) Stat(_ context.Context, _ string, p service.Place) (service.Version, error) {
	info, err := within(f.Dir, path(p))
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !info.Mode().IsRegular():
		return service.Version{}, service.ErrNoFile
	case err != nil:
		return service.Version{}, err
	}
	return version(info), nil
}

func version(info fs.FileInfo) service.Version {
	return service.Version{Size: info.Size(), Tag: info.ModTime().UTC().Format("20060102T150405.000000000")}
}

// Fetch implements service.Storage. The function gets a copy, as in a cluster.
func (f *Folders) Fetch(_ context.Context, _ string, p service.Place, v service.Version, to string) error {
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	from, err := root.OpenFile(path(p), os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be a pipe by now
	if errors.Is(err, fs.ErrNotExist) {
		return service.ErrFileChanged
	}
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || version(info) != v {
		return service.ErrFileChanged
	}
	return writeFile(to, io.LimitReader(from, v.Size))
}

// Store implements service.Storage.
func (f *Folders) Store(_ context.Context, _ string, all []service.Content) error {
	if err := os.MkdirAll(f.Dir, 0o755); err != nil { // the developer's files
		return err
	}
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for i, c := range all {
		err := store(root, path(c.Place), io.NewSectionReader(c.File, 0, c.Size))
		if err == nil {
			continue
		}
		for _, stored := range all[:i] {
			err = errors.Join(err, root.Remove(path(stored.Place)))
		}
		return fmt.Errorf("storing a file: %w", err)
	}
	return nil
}

// within looks at a file below a folder; a link that leads out of it is an error.
func within(dir, name string) (fs.FileInfo, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Stat(name)
}

// store is put below a folder: no link leads a function's file out of it.
func store(root *os.Root, name string, from io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(name), ".unip-serve-"+rand.Text())
	t, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer root.Remove(temporary) // when it has its name, there is nothing to remove
	_, err = io.Copy(t, from)
	if err = errors.Join(err, t.Close()); err != nil {
		return err
	}
	return root.Rename(temporary, name)
}

// writeFile makes a file, which appears whole or not at all.
func writeFile(path string, from io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	t, err := os.CreateTemp(filepath.Dir(path), ".unip-serve-*")
	if err != nil {
		return err
	}
	defer os.Remove(t.Name()) // when it has its name, there is nothing to remove
	_, err = io.Copy(t, from)
	if err = errors.Join(err, t.Chmod(0o644), t.Close()); err != nil {
		return err
	}
	return os.Rename(t.Name(), path)
}
