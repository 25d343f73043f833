package serve

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/unip-knative/unip/cmd/internal/devserver"
	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip-dev/internal/storage"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/module"
)

// open opens the storage and makes the folders. What end returns from has ended.
func (p *place) open(ctx context.Context, m *module.Module) (end func(), err error) {
	o := storage.Options{Dir: p.state, Runs: databox.UsualBuckets.Runs(m.Namespace), Log: p.out.log("storage", nil)}
	for _, b := range m.Boxes {
		o.Boxes = append(o.Boxes, boxOf(m, b.Name))
	}
	opened, err := storage.Open(context.WithoutCancel(ctx), o) // it ends last
	if err != nil {
		return nil, err
	}
	p.storage = opened
	end = func() {
		if err := opened.Close(); err != nil {
			p.out.log("storage", nil).Warn("the storage ends", "error", err)
		}
		_ = os.RemoveAll(p.sockets)
		_ = os.RemoveAll(p.work()) // the next start does it, too
	}
	p.worker = filepath.Join(p.work(), "worker")
	p.removeOld()
	if err = os.RemoveAll(p.work()); err == nil {
		err = os.MkdirAll(p.worker, 0o700)
	}
	if err == nil {
		err = p.makeSockets()
	}
	if err == nil {
		err = devserver.WriteWorker(p.worker)
	}
	if err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// socketsName begins the name of the folder of sockets.
const socketsName = "unip-dev-"

// makeSockets makes the folder of sockets, whose paths must be short.
func (p *place) makeSockets() (err error) {
	if p.sockets, err = os.MkdirTemp("", socketsName+"*"); err == nil {
		probe := filepath.Join(p.sockets, "probe")
		err = errors.Join(os.WriteFile(probe, []byte("room"), 0o600), os.Remove(probe))
	}
	if err != nil {
		return exit.Errorf(exit.NotServable, "the folder of temporary files: %w; TMPDIR names another one", err)
	}
	if len(p.sockets) > longestSockets {
		return exit.Errorf(exit.NotServable, "the folder of temporary files has too long a path for a socket, %s: TMPDIR "+
			"names another one", p.sockets)
	}
	return os.Symlink(p.sockets, p.socketsLink())
}

// longestSockets leaves room for a name in a socket's path, which has 103 bytes on macOS and 107 on Linux.
const longestSockets = 92

// socketsLink leads to the folder of sockets, which lies elsewhere.
func (p *place) socketsLink() string { return filepath.Join(p.work(), "sockets") }

// removeOld removes the sockets of one that was killed.
func (p *place) removeOld() {
	old, err := os.Readlink(p.socketsLink())
	if err == nil && filepath.Dir(old) == filepath.Clean(os.TempDir()) && // who else made the link cannot name more
		strings.HasPrefix(filepath.Base(old), socketsName) {
		_ = os.RemoveAll(old) // what is left there is temporary
	}
}

// work is the folder of all that is made anew at each start.
func (p *place) work() string { return filepath.Join(p.state, "work") }

func boxOf(m *module.Module, name string) storage.Box {
	return storage.Box{Name: name, Bucket: databox.UsualBuckets.Box(m.Namespace, name)}
}
