package serve

import (
	"os"
	"time"

	"github.com/unip-knative/unip/cmd/internal/dev"
	"github.com/unip-knative/unip/cmd/internal/devserver"
)

// look is how often files are looked at.
const look = 500 * time.Millisecond

// watch sees files that change: those that the module is read from, and the functions' code.
type watch struct {
	options *dev.Options
	seen    devserver.Seen
	code    devserver.Code
}

func newWatch(o *dev.Options, dir string) *watch {
	return &watch{options: o, code: devserver.Code{Dir: dir}}
}

// changed gives the name of a manifest and of a file of code that is new, gone or another than at the
// last look, "" for none.
func (w *watch) changed() (manifests, code string) {
	now := devserver.Seen{}
	for _, name := range append(w.options.Files(), w.options.Config) {
		if info, err := os.Stat(name); err == nil { // "" is none
			now.Note(name, info)
		}
	}
	manifests = w.seen.Other(now)
	w.seen = now
	return manifests, w.code.Changed()
}
