package engine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What is copied for an attempt at the most. A copy of that takes some hundredths of a second.
const (
	mostCode      = 64 << 20
	mostCodeFiles = 5000
)

// copying puts the module's code into the working folder of an attempt, where a container has its code
// as well. What a process writes there by accident stays there. Files that are too much for a copy are
// links to the module's own, and so are folders of installed packages.
type copying struct {
	from, to string
	without  []string // folders that are not code
	bytes    int64
	files    int
	linked   []string // names of what is not a copy
}

func copyCode(from, to string, without ...string) (linked []string, err error) {
	c := &copying{from: from, to: to, without: without}
	folders := []string{"."}
	for len(folders) > 0 { // what lies deep is linked first
		more, err := c.folder(folders[0])
		if err != nil {
			return nil, err
		}
		folders = append(folders[1:], more...)
	}
	return c.linked, nil
}

// folder copies a folder, and gives those below it.
func (c *copying) folder(name string) (below []string, err error) {
	at := filepath.Join(c.from, name)
	all, err := os.ReadDir(at)
	if name != "." && (err != nil || isInstalled(at) || c.files+len(all) > mostCodeFiles) {
		return nil, c.link(name)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(c.to, name), folderMode)
	}
	for _, f := range all {
		if err != nil {
			return nil, err
		}
		next := filepath.Join(name, f.Name())
		switch {
		case name == "." && strings.HasPrefix(f.Name(), "."), c.isWithout(next):
		case f.IsDir():
			below = append(below, next)
		case f.Type()&fs.ModeSymlink != 0:
			err = c.symlink(next)
		case f.Type().IsRegular():
			err = c.file(next, f)
		}
	}
	return below, err
}

// isInstalled reports a folder of packages that were installed, or of a version manager.
func isInstalled(folder string) bool {
	if name := filepath.Base(folder); name == "node_modules" || name == "site-packages" || name == ".git" {
		return true
	}
	_, err := os.Lstat(filepath.Join(folder, "pyvenv.cfg"))
	return err == nil
}

func (c *copying) isWithout(name string) bool {
	for _, w := range c.without {
		if filepath.Join(c.from, name) == w {
			return true
		}
	}
	return false
}

// link leads to the module's own file or folder.
func (c *copying) link(name string) error {
	c.linked = append(c.linked, name)
	return os.Symlink(filepath.Join(c.from, name), filepath.Join(c.to, name))
}

// symlink makes a link that leads to the same place: within the code to the copy.
func (c *copying) symlink(name string) error {
	to, err := os.Readlink(filepath.Join(c.from, name))
	if err != nil {
		return c.link(name)
	}
	if filepath.IsAbs(to) {
		if rel, err := filepath.Rel(c.from, to); err == nil && filepath.IsLocal(rel) {
			to = filepath.Join(c.to, rel)
		}
	} else if !filepath.IsLocal(filepath.Join(filepath.Dir(name), to)) {
		to = filepath.Join(c.from, filepath.Dir(name), to)
	}
	return os.Symlink(to, filepath.Join(c.to, name))
}

// file copies a file with its time, which Python's compiled code is bound to.
func (c *copying) file(name string, f fs.DirEntry) error {
	info, err := f.Info()
	if err != nil {
		return nil // it went away meanwhile
	}
	if c.bytes+info.Size() > mostCode || c.files == mostCodeFiles {
		return c.link(name)
	}
	from, err := os.Open(filepath.Join(c.from, name))
	if err != nil { // it cannot be read; the process says so
		return c.link(name)
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(c.to, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm()|fileMode)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, io.LimitReader(from, info.Size())) // the kernel shares blocks where it can
	c.bytes, c.files = c.bytes+n, c.files+1
	if err = errors.Join(err, to.Close()); err == nil {
		err = os.Chtimes(to.Name(), info.ModTime(), info.ModTime())
	}
	if err != nil {
		return fmt.Errorf("copying the code: %w", err)
	}
	return nil
}
