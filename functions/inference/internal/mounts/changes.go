package mounts

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"strings"
	"time"
)

// place is a file or a folder below one of the folders; "." is the folder itself.
type place struct {
	folder int
	name   string
}

func (p place) below(name string) place { return place{p.folder, path.Join(p.name, name)} }

// what has happened to a place.
type what int

const (
	created what = iota
	modified
	closed // after it was open for writing
	movedFrom
	movedTo
	removed
	lost // more than the kernel keeps: everything may have happened
)

type event struct {
	what
	at       place
	isFolder bool
	cookie   uint32 // of the two events of one move
}

// change is what is known of a file that is not stored as it is now.
type change struct {
	number int64 // of the last event; later ones have greater ones
	closed bool  // nobody has written since it was closed
	tried  bool  // a call was told that this could not be stored
}

// changes are the files that are not stored as they are now.
type changes struct {
	roots  []*os.Root
	watch  *watch
	files  map[place]change
	moved  map[uint32]change
	number int64
	sure   time.Time // when it was known last what had happened
}

// slack is how far the file system's clock may be from ours.
const slack = time.Second

// take notes what has happened.
func (c *changes) take() error {
	now := time.Now()
	events, err := c.watch.read()
	for _, e := range events {
		if one := c.note(e); one != nil {
			err = errors.Join(err, one)
		}
	}
	if err == nil {
		c.sure = now
	}
	return err
}

func (c *changes) note(e event) error {
	c.number++
	switch {
	case e.what == lost:
		for i := range c.roots {
			if err := c.enter(place{i, "."}, c.sure.Add(-slack)); err != nil {
				return err
			}
		}
	case e.isFolder && (e.what == created || e.what == movedTo):
		return c.enter(e.at, time.Time{})
	case e.isFolder && e.what == movedFrom:
		for p := range c.files {
			if p.folder == e.at.folder && strings.HasPrefix(p.name, e.at.name+"/") {
				delete(c.files, p)
			}
		}
	case e.isFolder:
	case e.what == movedFrom:
		c.moved[e.cookie] = change{closed: true}
		if before, ok := c.files[e.at]; ok {
			c.moved[e.cookie] = before
			delete(c.files, e.at)
		}
	case e.what == movedTo:
		before, ok := c.moved[e.cookie]
		delete(c.moved, e.cookie)
		c.files[e.at] = change{number: c.number, closed: !ok || before.closed}
	case e.what == removed:
		delete(c.files, e.at)
	default:
		c.files[e.at] = change{number: c.number, closed: e.what == closed}
	}
	return nil
}

// enter listens to a folder and those below it, and takes what lies there already and is not older
// than since: it came before anybody listened.
func (c *changes) enter(at place, since time.Time) error {
	root := c.roots[at.folder]
	if err := c.watch.add(root, at); err != nil {
		return c.gone(at, err)
	}
	dir, err := root.Open(at.name)
	if err != nil {
		return c.gone(at, err)
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(portion)
		for _, e := range entries {
			p := at.below(e.Name())
			if e.IsDir() {
				if err := c.enter(p, since); err != nil {
					return err
				}
				continue
			}
			info, err := e.Info()
			if err == nil && !info.ModTime().Before(since) {
				c.number++
				c.files[p] = change{number: c.number, closed: true}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return c.gone(at, err)
		}
	}
}

// portion is how much of a folder's listing is in memory at once.
const portion = 1000

// gone passes over a folder that is not there any more. One that nobody but its owner can read is a
// change itself, for nothing is known of what lies in it.
func (c *changes) gone(at place, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		c.number++
		c.files[at] = change{number: c.number, closed: true}
		return nil
	}
	return err
}

// enterOpened enters folders that could not be read and can be now: of a mode that changes nobody is
// told.
func (c *changes) enterOpened() error {
	for p := range maps.Clone(c.files) {
		info, err := c.roots[p.folder].Lstat(p.name)
		if err != nil || !info.IsDir() {
			continue
		}
		dir, err := c.roots[p.folder].Open(p.name)
		if err != nil {
			continue
		}
		delete(c.files, p)
		if err := errors.Join(dir.Close(), c.enter(p, time.Time{})); err != nil {
			return err
		}
	}
	return nil
}

// candidates are the changes that a call which began at a number must see stored: those that came
// since, and those of which no call has been told.
func (c *changes) candidates(began int64) map[place]change {
	found := map[place]change{}
	for p, x := range c.files {
		if !x.tried || x.number > began {
			found[p] = x
		}
	}
	return found
}

// settle notes what came of a candidate: it is stored as it was then, or a call was told that it
// cannot be.
func (c *changes) settle(p place, was change, stored bool) {
	now, ok := c.files[p]
	switch {
	case !ok || now.number != was.number: // it is another one by now
	case stored:
		delete(c.files, p)
	default:
		now.tried = true
		c.files[p] = now
	}
}

// forget drops what no call that runs could ask for, the oldest of which began at a number.
func (c *changes) forget(oldest int64) {
	for p, x := range c.files {
		if x.tried && x.number <= oldest {
			delete(c.files, p)
		}
	}
}
