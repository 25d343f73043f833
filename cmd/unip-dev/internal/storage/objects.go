package storage

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/unip-knative/unip/eventing/databox"
)

// Object is an object of a box, in one version of it.
type Object struct {
	Bucket, Key string
	// Version tells this content from another one of the same key.
	Version string
	Size    int64
	Time    time.Time // when it was written
}

// objects tells of what comes into being. Whoever makes something gives a hint; what there is, the
// folder says.
type objects struct {
	log *slog.Logger
	out chan Object

	mu      sync.Mutex
	given   *given
	queue   []Object
	wake    chan struct{}
	folders map[string]string // bucket -> folder
	unripe  map[string]state  // files by hand that may still be written, by path
	strange map[string]string // versions of files by hand that cannot be objects, by path

	watcher *fsnotify.Watcher
	polling bool // not every folder is watched
}

// state is how a file was seen, and since when it is so.
type state struct {
	object  object
	version string
	since   time.Time
}

func newObjects(g *given, log *slog.Logger) *objects {
	return &objects{
		log: log, out: make(chan Object), given: g, wake: make(chan struct{}, 1),
		folders: map[string]string{}, unripe: map[string]state{}, strange: map[string]string{},
	}
}

// came is called when S3 has made an object, before it is answered.
func (x *objects) came(bucket, key string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	folder, ok := x.folders[bucket]
	if !ok || strings.HasSuffix(key, "/") {
		return
	}
	x.tell(object{strings.Clone(bucket), strings.Clone(key)}, filepath.Join(folder, key))
}

// tell gives the object that lies at the path, when it was not told in this version.
func (x *objects) tell(o object, path string) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return // deleted meanwhile, say
	}
	version := stamp(info)
	if x.given.lines[o].Version == version {
		return
	}
	if err := x.given.write(line{Bucket: o.Bucket, Key: o.Key, Version: version}); err != nil {
		x.log.Error("an upload may be told twice", "bucket", o.Bucket, "key", o.Key, "error", err)
		x.given.keep(line{Bucket: o.Bucket, Key: o.Key, Version: version})
	}
	x.push(Object{Bucket: o.Bucket, Key: o.Key, Version: version, Size: info.Size(), Time: info.ModTime()})
}

func (x *objects) push(o Object) {
	x.queue = append(x.queue, o)
	x.signal()
}

func (x *objects) signal() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// next takes the oldest object that was not handed over.
func (x *objects) next() (Object, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.queue) == 0 {
		return Object{}, false
	}
	o := x.queue[0]
	x.queue = x.queue[1:]
	return o, true
}

// done notes that an object was dealt with. Of one that has a newer version nothing needs to be
// noted: that version is told as well.
func (x *objects) done(o Object) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.given.lines[object{o.Bucket, o.Key}]
	if l.Version != o.Version || l.Done {
		return nil
	}
	l.Done = true
	return x.given.write(l)
}

// run hands objects over and follows the folders, until ctx ends.
func (x *objects) run(ctx context.Context) {
	defer close(x.out)
	var all sync.WaitGroup
	all.Go(func() { x.follow(ctx) })
	defer all.Wait()
	for {
		o, ok := x.next()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-x.wake:
				continue
			}
		}
		select {
		case <-ctx.Done():
			return
		case x.out <- o:
		}
	}
}

// watch begins with a bucket: it tells what was not acknowledged, and what was put there meanwhile.
func (x *objects) watch(bucket, folder string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.folders[bucket]; ok {
		return nil
	}
	x.folders[bucket] = folder
	var all []error
	for o, l := range x.given.lines {
		if o.Bucket != bucket {
			continue
		}
		info, err := os.Lstat(filepath.Join(folder, o.Key))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			l.Gone = true
			all = append(all, x.given.write(l))
		case err != nil:
			all = append(all, err)
		case !l.Done && stamp(info) == l.Version:
			x.push(Object{Bucket: bucket, Key: o.Key, Version: l.Version, Size: info.Size(), Time: info.ModTime()})
		}
	}
	x.sweep(bucket, folder, folder)
	return errors.Join(all...)
}

func (x *objects) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := []error{x.given.compact(), x.given.file.Close()}
	if x.watcher != nil {
		all = append(all, x.watcher.Close())
	}
	return errors.Join(all...)
}

// isHand reports whether a file that was put somewhere by hand counts: names that begin with a dot
// do not, nor those that editors and browsers give to what is not finished.
func isHand(key string) bool {
	for segment := range strings.SplitSeq(key, "/") {
		if strings.HasPrefix(segment, ".") {
			return false
		}
	}
	name := filepath.Base(key)
	if strings.HasSuffix(name, "~") || strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#") {
		return false
	}
	switch filepath.Ext(name) {
	case ".swp", ".swx", ".crdownload", ".part":
		return false
	}
	return true
}

// isName reports a path that S3 knows as a key, and the module as a file: others are told nobody.
func isName(key string) bool { return isKey(key) && databox.CheckObjectPath(key) == nil }
