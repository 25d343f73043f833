package storage

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// isOpen reports whether somebody has a file open for writing, and whether that is known: the kernel
// gives a read lease of a file only when nobody has.
func isOpen(path string) (open, known bool) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, false
	}
	defer f.Close() // ends the lease
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	switch {
	case err == nil:
		return false, true
	case errors.Is(err, unix.EAGAIN):
		return true, true
	}
	return false, false // another's file, or a file system without leases
}
