package mounts

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// wanted is what the kernel tells of a folder.
const wanted = syscall.IN_CREATE | syscall.IN_MODIFY | syscall.IN_CLOSE_WRITE | syscall.IN_MOVED_FROM |
	syscall.IN_MOVED_TO | syscall.IN_DELETE | syscall.IN_ONLYDIR | syscall.IN_EXCL_UNLINK

// watch is the kernel's word on what happens below folders.
type watch struct {
	file    *os.File
	raw     syscall.RawConn
	folders map[int]place // by the number that the kernel has given a folder
	buffer  []byte
}

// newWatch begins to listen. told is called whenever there is something to read, from a goroutine of
// its own, until the watch is closed. It reads all there is.
func newWatch(told func()) (*watch, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("asking the kernel to tell what calls write (fs.inotify.max_user_instances of the node): %w",
			os.NewSyscallError("inotify_init1", err))
	}
	w := &watch{file: os.NewFile(uintptr(fd), "inotify"), folders: map[int]place{}, buffer: make([]byte, 64<<10)}
	if w.raw, err = w.file.SyscallConn(); err != nil {
		w.close()
		return nil, err
	}
	go func() {
		_ = w.raw.Read(func(uintptr) bool { // until it is closed: false waits for more
			told()
			return false
		})
	}()
	return w, nil
}

func (w *watch) close() { _ = w.file.Close() }

// add listens to a folder. It is opened through root, which no link leaves.
func (w *watch) add(root *os.Root, at place) error {
	f, err := root.Open(at.name)
	if err != nil {
		return err
	}
	defer f.Close()
	var n int
	if closed := w.raw.Control(func(fd uintptr) {
		n, err = syscall.InotifyAddWatch(int(fd), fmt.Sprintf("/proc/self/fd/%d", f.Fd()), wanted)
	}); closed != nil {
		return closed
	}
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return nil // it is a file by now, of which its folder's events tell
	case err != nil:
		return fmt.Errorf("watching a folder (fs.inotify.max_user_watches of the node): %w",
			os.NewSyscallError("inotify_add_watch", err))
	}
	w.folders[n] = at
	return nil
}

// read gives what has happened since it was called last.
func (w *watch) read() (all []event, err error) {
	for {
		var n int
		if closed := w.raw.Control(func(fd uintptr) { n, err = syscall.Read(int(fd), w.buffer) }); closed != nil {
			return all, closed
		}
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN), err == nil && n == 0:
			return all, nil
		case err != nil:
			return all, os.NewSyscallError("read", err)
		}
		all = w.parse(all, w.buffer[:n])
	}
}

// parse reads the kernel's form: number of the folder, mask, cookie, length of the name, the name.
func (w *watch) parse(all []event, b []byte) []event {
	for len(b) >= syscall.SizeofInotifyEvent {
		number, mask := int(int32(binary.NativeEndian.Uint32(b))), binary.NativeEndian.Uint32(b[4:])
		cookie, length := binary.NativeEndian.Uint32(b[8:]), int(binary.NativeEndian.Uint32(b[12:]))
		name := string(bytes.TrimRight(b[syscall.SizeofInotifyEvent:][:length], "\x00"))
		b = b[syscall.SizeofInotifyEvent+length:]
		if mask&syscall.IN_Q_OVERFLOW != 0 {
			all = append(all, event{what: lost})
			continue
		}
		folder, known := w.folders[number]
		if mask&syscall.IN_IGNORED != 0 { // it was removed
			delete(w.folders, number)
			continue
		}
		if !known || name == "" {
			continue
		}
		e := event{at: folder.below(name), cookie: cookie, isFolder: mask&syscall.IN_ISDIR != 0}
		switch {
		case mask&syscall.IN_CREATE != 0:
			e.what = created
		case mask&syscall.IN_MODIFY != 0:
			e.what = modified
		case mask&syscall.IN_CLOSE_WRITE != 0:
			e.what = closed
		case mask&syscall.IN_MOVED_FROM != 0:
			e.what = movedFrom
			if e.isFolder {
				w.forget(e.at)
			}
		case mask&syscall.IN_MOVED_TO != 0:
			e.what = movedTo
		case mask&syscall.IN_DELETE != 0:
			e.what = removed
		default:
			continue
		}
		all = append(all, e)
	}
	return all
}

// forget lets go of the paths of a folder that has gone somewhere, with those below it. Where it has
// gone to, it is added anew and has the same number.
func (w *watch) forget(at place) {
	for n, p := range w.folders {
		if p.folder == at.folder && (p.name == at.name || strings.HasPrefix(p.name, at.name+"/")) {
			delete(w.folders, n)
		}
	}
}
