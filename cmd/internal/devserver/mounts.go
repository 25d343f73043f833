package devserver

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// Mount is a folder, or a file, that the function has at Path in a cluster, and here at Local, where what it writes
// lies at once. Shown is Local as the developer knows it.
type Mount struct {
	Path, Local, Shown string
	Write              bool
	File               bool // it is one file, and no folder
}

// Mounts are those of a component.
type Mounts []Mount

// Instead says what lies here in place of the folder.
func (m Mount) Instead() string {
	what := "folder"
	if m.File {
		what = "file"
	}
	return fmt.Sprintf("in place of the %s %s: %s", what, m.Path, m.Shown)
}

// Place has the folders lie at their paths, where a link can be made there: without root that is so in
// folders of the developer's own, and as root nothing is made in the system's. The others are named, with
// where they are instead. undo removes the links.
func (all Mounts) Place(root bool, log *slog.Logger) (undo func(), err error) {
	var links []string
	undo = func() {
		for _, path := range links {
			_ = os.Remove(path) // somebody else may have
		}
	}
	for _, m := range all {
		if m.Write {
			if err := os.MkdirAll(m.Local, 0o755); err != nil { // the developer's files
				undo()
				return nil, err
			}
		}
		instead := m.Instead()
		if _, err := os.Stat(m.Local); errors.Is(err, fs.ErrNotExist) {
			instead += "; it is not there yet"
		}
		if !root && os.Symlink(m.Local, m.Path) == nil {
			links = append(links, m.Path)
			log.Info(instead)
			continue
		}
		log.Warn(instead + "; that path cannot be made here: variables of the environment that name it lead there, " +
			"and code that has it fixed does not find it")
	}
	return undo, nil
}

// Value is the value of a variable of the environment, which names a folder here where it names one in a
// cluster.
func (all Mounts) Value(value string) string {
	for _, m := range all {
		if value == m.Path {
			return m.Local
		}
		if rest, below := strings.CutPrefix(value, m.Path+"/"); below {
			if rest == "" {
				return m.Local + "/"
			}
			return filepath.Join(m.Local, rest) + value[len(strings.TrimRight(value, "/")):]
		}
	}
	return value
}
