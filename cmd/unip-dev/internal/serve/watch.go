package serve

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/unip-knative/unip/cmd/internal/dev"
	"github.com/unip-knative/unip/cmd/internal/devserver"
)

// look is how often files are looked at.
const look = 500 * time.Millisecond

// watch sees files that change: those that the command line names, and the functions' code.
type watch struct {
	options *dev.Options
	seen    map[string]stamp
	code    devserver.Code
}

type stamp struct{ size, time int64 }

func newWatch(o *dev.Options, dir string) *watch {
	return &watch{options: o, code: devserver.Code{Dir: dir}}
}

// changed gives the name of a manifest and of a file of code that is new, gone or another than at the
// last look, "" for none.
func (w *watch) changed() (manifests, code string) {
	now := map[string]stamp{}
	for _, name := range append(slices.Clone(w.options.Names), w.options.Config) {
		w.add(now, name)
	}
	if w.seen != nil && !maps.Equal(w.seen, now) {
		manifests = different(w.seen, now)
	}
	w.seen = now
	return manifests, w.code.Changed()
}

// add looks at a file, or at the files of a folder.
func (w *watch) add(now map[string]stamp, name string) {
	note := func(path string, info fs.FileInfo) {
		now[path] = stamp{info.Size(), info.ModTime().UnixNano()}
	}
	info, err := os.Stat(name)
	switch {
	case err != nil: // - and "" among them
		return
	case !info.IsDir():
		note(name, info)
		return
	}
	_ = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // it went away meanwhile, or is not for us
		case d.IsDir() && path != name && !w.options.Recursive:
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		if info, err := os.Stat(path); err == nil {
			note(path, info)
		}
		return nil
	})
}

func different(before, now map[string]stamp) string {
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if s, ok := before[name]; !ok || s != now[name] {
			return name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, ok := now[name]; !ok {
			return name
		}
	}
	return ""
}
