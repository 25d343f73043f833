package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/unip-knative/unip/cmd/internal/dev"
	"github.com/unip-knative/unip/cmd/unip-dev/internal/engine"
	"github.com/unip-knative/unip/cmd/unip-dev/internal/storage"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/routes"
	gateway "github.com/unip-knative/unip/functions/gateway/service"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/module"
)

// place is what stays the same when a module is read anew.
type place struct {
	options *dev.Options
	dir     string // of the code
	state   string // of boxes and runs, shown as the developer knows it
	shown   string
	python  string
	worker  string // folder with the worker's files
	sockets string // folder with a short path
	storage *storage.Server
	engine  *engine.Engine
	out     *printer
}

// served is a module that is being served: its gateway and its components.
type served struct {
	place
	module *module.Module
	config installation.Config
	ctx    context.Context
	cancel context.CancelFunc
	own    string // folder of this reading of the module
	key    string // file with the module's key

	components map[string]*component
	gateway    *gateway.Gateway
}

// readings counts how often a module was read.
var readings atomic.Int64

// newServed begins to serve a module.
func newServed(ctx context.Context, p place, m *module.Module, config installation.Config) (*served, error) {
	s := &served{place: p, module: m, config: config, components: map[string]*component{},
		own: filepath.Join(p.work(), fmt.Sprint(readings.Add(1)))}
	s.key = filepath.Join(s.own, "key")
	s.ctx, s.cancel = context.WithCancel(ctx)
	if err := s.begin(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *served) begin() error {
	for _, b := range s.module.Boxes { // a module that is read anew may have more
		if err := s.storage.Add(boxOf(s.module, b.Name)); err != nil {
			return err
		}
	}
	if err := errors.Join(s.writeKey(), s.writeUsers(), s.writeSessions()); err != nil {
		return err
	}
	for _, x := range s.module.Components {
		c, err := newComponent(s, x)
		if err != nil {
			return err
		}
		s.components[x.Name] = c
	}
	o := gateway.Options{
		Namespace: s.module.Namespace, Routes: s.module.RoutesFile(), Key: s.key,
		Passwords: filepath.Join(s.own, "auth"),
		Address:   func(component string) *url.URL { return s.components[component].address() },
		Boxes:     filepath.Join(s.own, "boxes"), UploadLinks: s.config.Limits.UploadLinks,
		MaxBody: int64(s.config.Limits.BodyMiB) << 20, As: s.options.As, Runs: s.engine,
		Puts: s.put,
	}
	if o.Routes.Publishes(routes.KindPipeline, routes.KindPipelines) {
		o.KeptLogs = func() (*s3.Box, error) { return s3.Open(filepath.Join(s.own, "runs", databox.SessionKey), nil) }
	}
	var err error
	s.gateway, err = gateway.New(o)
	return err
}

// writeKey makes the module's key.
func (s *served) writeKey() error {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails (crypto/rand)
	if err := os.MkdirAll(s.own, 0o700); err != nil {
		return err
	}
	return os.WriteFile(s.key, key[:], 0o600)
}

// writeUsers writes the Secrets of users as files, as kubelet does.
func (s *served) writeUsers() error {
	for _, a := range s.module.Routes() {
		if a.Auth == nil || a.Auth.Basic == nil {
			continue
		}
		dir := filepath.Join(s.own, "auth", a.Auth.Basic.Credentials)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		values, _ := s.module.Values("Secret", a.Auth.Basic.Credentials) // one that is not here lets nobody in
		for key, value := range values {
			if err := os.WriteFile(filepath.Join(dir, key), []byte(value), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeSessions writes those of the gateway, of all components' files, and of the runs' logs.
func (s *served) writeSessions() error {
	for _, b := range s.module.Boxes {
		for _, name := range []databox.Access{databox.Files, databox.GetLinks, databox.PutLinks, "session"} {
			if err := s.session(filepath.Join(s.own, "boxes", b.Name, string(name)+".json"), b.Name); err != nil {
				return err
			}
		}
	}
	return writeSession(filepath.Join(s.own, "runs", databox.SessionKey),
		s.storage.Session(databox.UsualBuckets.Runs(s.module.Namespace), ""))
}

// session writes a session of a box.
func (s *served) session(file, box string) error {
	return writeSession(file, s.storage.Session(databox.UsualBuckets.Box(s.module.Namespace, box), ""))
}

// ServeHTTP is the gateway's.
func (s *served) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.gateway.ServeHTTP(w, r) }

// restart has all functions start anew.
func (s *served) restart() {
	var all sync.WaitGroup
	for _, c := range s.components {
		all.Go(c.restart)
	}
	all.Wait()
}

// close ends all that was begun.
func (s *served) close() {
	var all sync.WaitGroup
	for _, c := range s.components {
		all.Go(c.close)
	}
	all.Wait()
	s.cancel()
	_ = os.RemoveAll(s.own) // the next start does it, too
}
