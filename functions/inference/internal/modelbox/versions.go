package modelbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// There are two places for versions of the model: its own, and one in Next. A version is fetched
// into the one that is not in service, so there are never more than two.

// beside is where every other version lies, in both containers.
func (s *Source) beside() string { return filepath.Join(s.Next, filepath.Base(s.Path)) }

// Look is the ETag of what is in the box.
func (s *Source) Look(ctx context.Context) (string, error) {
	if err := s.open(); err != nil {
		return "", err
	}
	objects, err := s.list(ctx)
	if err != nil {
		return "", classify(err)
	}
	return etagOf(objects), nil
}

// Keep removes the version that is not in service: the one before the last, or the last.
func (s *Source) Keep(last bool) error {
	if last {
		s.next = s.fetched
	}
	if !s.next {
		return empty(s.Next)
	}
	return s.link()
}

// makeRoom makes a place empty before a version comes there. A file takes the place of another one
// by itself.
func (s *Source) makeRoom(place string) error {
	if !strings.HasSuffix(s.Object, "/") {
		return os.MkdirAll(filepath.Dir(place), 0o755)
	}
	return errors.Join(os.MkdirAll(place, 0o755), empty(place))
}

// link leaves links to the version in Next at the model's own place: whoever opens that by name
// finds what is in service.
func (s *Source) link() error {
	if !strings.HasSuffix(s.Object, "/") {
		return symlink(s.beside(), s.File)
	}
	if err := empty(s.File); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.beside())
	if err != nil {
		return fmt.Errorf("listing the model's files: %w", err)
	}
	for _, e := range entries {
		if err := symlink(filepath.Join(s.beside(), e.Name()), filepath.Join(s.File, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// symlink makes a link that appears at once in place of what is there.
func symlink(to, at string) error {
	made := at + ".link"
	if err := os.Symlink(to, made); err != nil {
		return fmt.Errorf("linking the model: %w", err)
	}
	if err := os.Rename(made, at); err != nil {
		return fmt.Errorf("linking the model: %w", errors.Join(err, os.Remove(made)))
	}
	return nil
}

// empty removes all that lies in a folder; one that is not there is empty.
func empty(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("emptying a folder of the model: %w", err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("emptying a folder of the model: %w", err)
		}
	}
	return nil
}
