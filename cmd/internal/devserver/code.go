package devserver

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxCode bounds how many files are watched: beyond, a folder is no checkout of a function.
const maxCode = 20_000

// Code is the Python files below a folder, as they were at the last look.
type Code struct {
	Dir  string
	seen Seen
}

// Changed looks, and gives the name of a file that is new, gone or another than at the last look,
// "" for none. Hidden folders, those of virtual environments and of installed packages are left
// out.
func (c *Code) Changed() string {
	now := Seen{}
	_ = filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error { // which gives no error
		switch {
		case err != nil:
			return nil //nolint:nilerr // it went away meanwhile, or is not for us
		case d.IsDir():
			if path != c.Dir && foreign(path, d.Name()) {
				return fs.SkipDir
			}
		case len(now) == maxCode:
			return fs.SkipAll
		case filepath.Ext(path) == ".py":
			if info, err := d.Info(); err == nil {
				now.Note(path, info)
			}
		}
		return nil
	})
	other := c.seen.Other(now)
	c.seen = now
	if short, err := filepath.Rel(c.Dir, other); other != "" && err == nil {
		return short
	}
	return other
}

func foreign(path, name string) bool {
	if strings.HasPrefix(name, ".") || name == "__pycache__" || name == "node_modules" || name == "site-packages" {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "pyvenv.cfg"))
	return err == nil
}
