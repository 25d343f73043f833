package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Times of what is put into a folder by hand.
const (
	// look is how often files are looked at that may still be written.
	look = 100 * time.Millisecond
	// settled is how long a file has been left alone when it is whole: nobody has it open for
	// writing. Where that cannot be found out, it is long.
	settled     = 300 * time.Millisecond
	settledLong = 2 * time.Second
	// poll is how often the folders are swept when they cannot be watched.
	poll = 3 * time.Second
)

// follow watches the folders.
func (x *objects) follow(ctx context.Context) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	swept := time.Now()
	for {
		var (
			events chan fsnotify.Event
			faults chan error
		)
		x.mu.Lock()
		if x.watcher != nil {
			events, faults = x.watcher.Events, x.watcher.Errors
		}
		x.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case e := <-events:
			x.event(e)
		case err := <-faults:
			x.log.Warn("watching the boxes", "error", err) // too many events at once, say
			x.sweepAll()
		case now := <-ticker.C:
			if x.isPolling() && now.Sub(swept) > poll {
				x.sweepAll()
				swept = time.Now()
			}
			x.ripe(now)
		}
	}
}

func (x *objects) isPolling() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.polling
}

func (x *objects) sweepAll() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for bucket, folder := range x.folders {
		x.sweep(bucket, folder, folder)
	}
}

// sweep looks at everything below a folder of a bucket, and watches what is below. Links are not
// followed.
func (x *objects) sweep(bucket, folder, below string) {
	err := filepath.WalkDir(below, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // deleted meanwhile
		case err != nil:
			x.log.Warn("looking for files", "path", path, "error", err)
			return fs.SkipDir
		case d.IsDir() && path != folder && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir():
			x.attend(path)
		case d.Type().IsRegular():
			x.seen(bucket, folder, path)
		}
		return nil
	})
	if err != nil {
		x.log.Warn("looking for files", "path", below, "error", err)
	}
}

// attend watches one folder. Where it cannot, all are swept from time to time.
func (x *objects) attend(folder string) {
	if x.polling {
		return
	}
	var err error
	if x.watcher == nil {
		x.watcher, err = fsnotify.NewWatcher()
	}
	if err == nil {
		err = x.watcher.Add(folder)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		x.log.Warn("not every folder can be watched; files put there by hand are found within seconds",
			"path", folder, "error", err)
		x.polling = true
	}
}

// event deals with a hint of the kernel.
func (x *objects) event(e fsnotify.Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for bucket, folder := range x.folders {
		key, err := filepath.Rel(folder, e.Name)
		if err != nil || key == ".." || strings.HasPrefix(key, "../") {
			continue
		}
		info, err := os.Lstat(e.Name)
		switch {
		case err != nil && key == ".":
			x.restore(bucket, folder)
		case err != nil: // gone again
		case info.IsDir() && e.Has(fsnotify.Create) && !strings.HasPrefix(info.Name(), "."):
			x.sweep(bucket, folder, e.Name)
		case info.Mode().IsRegular():
			x.seen(bucket, folder, e.Name)
		}
	}
}

// restore makes the folder of a bucket again when somebody has removed all of it.
func (x *objects) restore(bucket, folder string) {
	if err := os.MkdirAll(folder, folderMode); err != nil {
		x.log.Error("the folder of a box is gone", "path", folder, "error", err)
		return
	}
	x.sweep(bucket, folder, folder)
}

// seen waits until a file is whole that was not told yet.
func (x *objects) seen(bucket, folder, path string) {
	key, err := filepath.Rel(folder, path)
	if err != nil {
		return
	}
	o := object{bucket, filepath.ToSlash(key)}
	info, err := os.Lstat(path)
	if err != nil || !isHand(o.Key) {
		return
	}
	version := stamp(info)
	if x.given.lines[o].Version == version || x.unripe[path].version == version || x.strange[path] == version {
		return
	}
	x.unripe[path] = state{object: o, version: version, since: time.Now()}
}

// ripe tells the files that are whole by now.
func (x *objects) ripe(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for path, s := range x.unripe {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() {
			delete(x.unripe, path)
			continue
		}
		if version := stamp(info); version != s.version {
			s.version, s.since = version, now
			x.unripe[path] = s
			continue
		}
		open, known := isOpen(path)
		if age := now.Sub(s.since); age < settled || open || !known && age < settledLong {
			continue
		}
		delete(x.unripe, path)
		if isName(s.object.Key) {
			x.tell(s.object, path)
			continue
		}
		x.strange[path] = s.version
		x.log.Warn("a file does not count: its name cannot be that of an object", "path", path)
	}
}
