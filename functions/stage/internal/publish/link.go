package publish

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

// maxHops bounds the links that one link leads through, as the system does.
const maxHops = 40

// links follows the symbolic links of an output, and never out of it.
type links struct {
	root *os.Root
	// paths are where the user's container sees the output's folder. A link there may be absolute.
	paths []string
}

// follow gives the place, without links, that a link leads to, and what is there.
func (l links) follow(link place) (string, fs.FileInfo, error) {
	at, ahead := path.Dir(link.real), []string{path.Base(link.real)}
	to := ""
	for hops := 0; len(ahead) > 0; {
		name := ahead[0]
		ahead = ahead[1:]
		if name == ".." {
			if at == "." {
				return "", nil, leadsOut(link, to)
			}
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, name)
		info, err := l.root.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return "", nil, storage.Permanentf("%q is a symbolic link to %.200q, where nothing is", link.path, to)
		case err != nil:
			return "", nil, unreadable(link.path, err)
		case info.Mode()&fs.ModeSymlink == 0:
			at = next
			continue
		}
		if hops++; hops > maxHops {
			return "", nil, storage.Permanentf("%q is a symbolic link through more than %d others", link.path, maxHops)
		}
		if to, err = l.root.Readlink(next); err != nil {
			return "", nil, unreadable(link.path, err)
		}
		further := segments(to)
		if path.IsAbs(to) {
			var inside bool
			if further, inside = l.below(further); !inside {
				return "", nil, leadsOut(link, to)
			}
			at = "."
		}
		ahead = slices.Concat(further, ahead)
	}
	info, err := l.root.Lstat(at)
	if err != nil {
		return "", nil, unreadable(link.path, err)
	}
	return at, info, nil
}

// below is what an absolute path has below the output's folder, as the user's container sees it.
func (l links) below(absolute []string) ([]string, bool) {
	for _, p := range l.paths {
		if folder := segments(p); len(absolute) >= len(folder) && slices.Equal(absolute[:len(folder)], folder) {
			return absolute[len(folder):], true
		}
	}
	return nil, false
}

// segments are the parts of a path that lead anywhere.
func segments(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(s string) bool { return s == "" || s == "." })
}

func leadsOut(link place, to string) error {
	return storage.Permanentf("%q is a symbolic link to %.200q, which is outside of the output", link.path, to)
}
