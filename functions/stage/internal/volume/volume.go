// Package volume opens folders and files of a stage's volume. The user's container has written
// there, and may have put anything anywhere: a link to what fetch and publish alone can see, a pipe
// on which whoever opens it waits for ever, a device.
//
// What it promises: everything is opened below the volume's mount point, which the user's container
// cannot change; nothing is opened before it has been looked at, and nothing but folders and
// regular files is. What is something else is a storage.Permanent error that names it.
package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/unip-knative/unip/functions/internal/regular"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

// Volume is the folder in which each variable of the stage has a folder of its own.
type Volume struct{ root *os.Root }

// Open opens the volume at its mount point.
func Open(mountPoint string) (*Volume, error) {
	info, err := os.Lstat(mountPoint)
	if err != nil {
		return nil, fmt.Errorf("opening the stage's volume: %w", err)
	}
	if !info.IsDir() {
		return nil, storage.Permanentf("the stage's volume %q is a %s", mountPoint, regular.Kind(info.Mode()))
	}
	root, err := os.OpenRoot(mountPoint)
	if err != nil {
		return nil, fmt.Errorf("opening the stage's volume: %w", err)
	}
	return &Volume{root}, nil
}

// Close closes the volume, and no folder of it.
func (v *Volume) Close() error { return v.root.Close() }

// Folder opens a variable's folder.
func (v *Volume) Folder(variable string) (*os.Root, error) {
	info, err := v.root.Lstat(variable)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, storage.Permanentf("the folder %q is gone", variable)
	}
	if err != nil {
		return nil, Final(fmt.Errorf("the folder %q: %w", variable, err))
	}
	if !info.IsDir() {
		return nil, storage.Permanentf("%q is a %s in the place of the variable's folder", variable, regular.Kind(info.Mode()))
	}
	folder, err := v.root.OpenRoot(variable)
	if err != nil {
		return nil, Final(fmt.Errorf("the folder %q: %w", variable, err))
	}
	opened, err := folder.Stat(".")
	if err != nil || !os.SameFile(info, opened) {
		_ = folder.Close()
		return nil, storage.Permanentf("the folder %q has been replaced while it was opened", variable)
	}
	return folder, nil
}

// Make makes a variable's folder, or finds it, and opens it.
func (v *Volume) Make(variable string, mode fs.FileMode) (*os.Root, error) {
	if err := v.root.Mkdir(variable, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making the folder %q: %w", variable, err)
	}
	folder, err := v.Folder(variable)
	if err != nil {
		return nil, err
	}
	if err := folder.Chmod(".", mode); err != nil { // Mkdir is subject to the umask
		_ = folder.Close()
		return nil, fmt.Errorf("making the folder %q: %w", variable, err)
	}
	return folder, nil
}

// Create opens a new file for writing, or an old regular one, which it empties.
func Create(folder *os.Root, name string) (*os.File, error) {
	const flags = os.O_CREATE | os.O_RDWR | os.O_TRUNC | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	file, err := folder.OpenFile(name, flags, 0o644)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = storage.Permanentf("%q is a %s", name, regular.Kind(info.Mode()))
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// Final marks an error that stays what it is: the user's container has taken away the right to
// read.
func Final(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &storage.Permanent{Err: err}
	}
	return err
}
