// Package regular opens files where the user's container writes. It may have put anything there: a
// link to what unip's own container can see and the user's must not, a pipe on which whoever opens it
// waits for ever, a device, a second name of a file that is something else's.
//
// What it promises: nothing is opened before it has been looked at, nothing but regular files with
// one name is, and what is opened is what was looked at.
package regular

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// ErrRefused is what is no regular file with one name, or cannot be read.
var ErrRefused = errors.New("files and folders only")

// Check refuses what is no regular file with one name.
func Check(info fs.FileInfo) error {
	switch m := info.Mode(); {
	case !m.IsRegular():
		return fmt.Errorf("it is a %s: %w", Kind(m), ErrRefused)
	case names(info) > 1:
		return fmt.Errorf("it is a hard link, a file with several names: %w", ErrRefused)
	}
	return nil
}

// Open opens the file of a name below root that info was told of by Lstat. No link is followed in
// its last part, none leads out of root, and a pipe in its place does not block.
func Open(root *os.Root, name string, info fs.FileInfo) (*os.File, error) {
	if err := Check(info); err != nil {
		return nil, err
	}
	dir, err := root.OpenRoot(path.Dir(name))
	if err != nil {
		return nil, unreadable(err)
	}
	defer dir.Close()
	f, err := dir.OpenFile(path.Base(name), os.O_RDONLY|noFollow, 0)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return nil, fmt.Errorf("it is a symbolic link: %w", ErrRefused)
	case err != nil:
		return nil, unreadable(err)
	}
	now, err := f.Stat()
	if err == nil {
		err = Check(now)
	}
	if err == nil && !os.SameFile(info, now) {
		err = fs.ErrNotExist // another one has taken its name
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// unreadable says so where the user's container has taken the right to read away.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("its mode lets nobody but its owner read it: %w", ErrRefused)
	}
	return err
}

// Kind names what is there.
func Kind(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "file"
	case m.IsDir():
		return "folder"
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	case m&fs.ModeDevice != 0:
		return "device"
	default:
		return "special file"
	}
}
