package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/unip-knative/unip/functions/inference/service"
)

// caller is who calls: here everybody is the same.
const caller = "local"

// Folders are folders in the role of the boxes that a component is connected to: <box>/<group…>/<file> of the file API is the file <Dir>/<box>/<group…>/<file>. It implements service.Storage.
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

func (f *Folders) path(p service.Place) string {
	return filepath.Join(f.Dir, p.Box, filepath.FromSlash(p.Path))
}

// Stat implements service.Storage.
func (f *Folders) Stat(_ context.Context, _ string, p service.Place) (service.Version, error) {
	info, err := os.Stat(f.path(p))
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
func (f *Folders) Fetch(_ context.Context, _ string, p service.Place, v service.Version, path string) error {
	from, err := os.Open(f.path(p))
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
	if version(info) != v {
		return service.ErrFileChanged
	}
	return put(path, io.LimitReader(from, v.Size))
}

// Store implements service.Storage.
func (f *Folders) Store(_ context.Context, _ string, all []service.Content) error {
	for i, c := range all {
		err := put(f.path(c.Place), io.NewSectionReader(c.File, 0, c.Size))
		if err == nil {
			continue
		}
		for _, stored := range all[:i] {
			err = errors.Join(err, os.Remove(f.path(stored.Place)))
		}
		return fmt.Errorf("storing a file: %w", err)
	}
	return nil
}

// put makes a file, which appears whole or not at all.
func put(path string, from io.Reader) error {
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
