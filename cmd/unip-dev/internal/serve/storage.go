package serve

import (
	"context"
	"os"
	"path/filepath"

	"github.com/unip-knative/unip/cmd/internal/devserver"
	"github.com/unip-knative/unip/cmd/unip-dev/internal/storage"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/module"
)

// open opens the storage and makes the folders. What end returns from has ended.
func (p *place) open(ctx context.Context, m *module.Module) (end func(), err error) {
	o := storage.Options{Dir: p.state, Runs: databox.RunBucketName(m.Namespace), Log: p.out.log("storage", nil)}
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
	if p.sockets, err = os.MkdirTemp("", "unip-dev-"); err == nil { // a socket's path is short
		err = os.RemoveAll(p.work()) // of one that was killed
	}
	if err == nil {
		p.worker = filepath.Join(p.work(), "worker")
		err = os.MkdirAll(p.worker, 0o700)
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

// work is the folder of all that is made anew at each start.
func (p *place) work() string { return filepath.Join(p.state, "work") }

func boxOf(m *module.Module, name string) storage.Box {
	return storage.Box{Name: name, Bucket: databox.BucketName(m.Namespace, name)}
}
