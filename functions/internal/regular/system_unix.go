//go:build unix

package regular

import (
	"io/fs"
	"syscall"
)

// noFollow has no link followed, and a pipe not waited for.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// names is how many a file has.
func names(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Nlink) //nolint:unconvert // it has another size on other systems
	}
	return 1
}
