// Package devserver serves one inference function from a checkout, before there is an image: the
// server of functions/inference in this process, worker.py in processes of the developer's Python,
// a folder in the role of the boxes. It starts the function again when its code changes; a model
// that changes is taken up as in a cluster.
package devserver

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/unip-knative/unip/eventing/origins"
	"github.com/unip-knative/unip/functions/inference/service"
	"github.com/unip-knative/unip/functions/inference/worker"
	"github.com/unip-knative/unip/translate/manifest"
)

// Options of a server.
type Options struct {
	// Component is the component's name; Inference and Loader are module:function, Loader may be
	// "".
	Component, Inference, Loader string
	// Python is the interpreter: a name that is looked for in PATH, or an absolute path. Dir is the
	// working folder of the function, Env its environment.
	Python, Dir string
	Env         []string
	Workers     int
	// Memory is how many bytes the function's processes may hold together, as its container may in a
	// cluster; 0: as many as there are.
	Memory  int64
	Timeout time.Duration // of one call
	Model   *Model        // nil: without
	Updates string        // how a newer model is taken up, a value of manifest.ModelUpdates
	Folders *Folders      // for FILE values; nil: without
	Shown   bool          // the function may know who calls: "local"
	// Reload starts the function again when a file of Python below Dir changes.
	Reload bool
	// Listener is where HTTP is served. Hosts are names of this machine by which it may be called
	// besides.
	Listener net.Listener
	Hosts    []string
	// Origins are the sites whose pages may call.
	Origins []string
	// Output gets what the function prints.
	Output io.Writer
	Log    *slog.Logger
}

const (
	// queue is how many calls may wait for each worker, as in a cluster.
	queue = 100
	// look is how often files are looked at.
	look = 500 * time.Millisecond
	// headerTime bounds what a caller may do before a handler sees it.
	headerTime = 10 * time.Second
	// drain is how long calls may go on at the end.
	drain = time.Second
)

// StartError is a function that cannot be started; the worker has said why.
type StartError struct{ Inference string }

func (e *StartError) Error() string { return e.Inference + " cannot be started" }

// Run serves until the context ends. A function that cannot be started is a *StartError, unless it
// is started again at the next change.
func Run(ctx context.Context, o Options) error {
	dir, err := os.MkdirTemp("", "unip-serve-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := WriteWorker(dir); err != nil {
		return err
	}
	s := &server{Options: o, dir: dir}
	code := Code{Dir: o.Dir}
	if o.Reload {
		code.Changed() // what is there now
	}
	sites, err := origins.New(o.Origins)
	if err != nil {
		return err
	}
	h := &http.Server{
		Handler: guard(s, o.Listener.Addr(), o.Hosts, sites), ReadHeaderTimeout: headerTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}
	defer h.Close()
	defer o.Listener.Close()
	failed := make(chan error, 1)
	for n := 0; ; n++ {
		g, err := s.start(ctx, n)
		if err != nil {
			return err
		}
		if n == 0 { // calls that came before wait until they are accepted
			go func() { failed <- h.Serve(o.Listener) }()
		}
		again, err := s.attend(ctx, g, &code, failed)
		if again {
			g.stop()
			continue
		}
		end, cancel := context.WithTimeout(context.Background(), drain)
		_ = h.Shutdown(end) // what goes on longer is cut off
		cancel()
		g.stop()
		return err
	}
}

// WriteWorker writes the worker's files into a folder.
func WriteWorker(dir string) error {
	for name, source := range worker.Files() {
		if err := os.WriteFile(filepath.Join(dir, name), source, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// WorkerArgs are the arguments with which Python runs the worker of a folder; loader may be "", and
// memory, the function's limit in bytes, 0.
func WorkerArgs(dir, socket, inference, loader string, workers int, memory int64) []string {
	args := []string{
		filepath.Join(dir, worker.Main), "--socket", socket, "--inference", inference,
		"--workers", strconv.Itoa(workers),
	}
	if loader != "" {
		args = append(args, "--model-loader", loader)
	}
	if memory > 0 {
		args = append(args, "--memory-limit", strconv.FormatInt(memory, 10))
	}
	return args
}

// server hands each call to the generation that there is.
type server struct {
	Options
	dir     string
	handler atomic.Pointer[http.Handler]
}

func (s *server) turn(h http.Handler) { s.handler.Store(&h) }

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*s.handler.Load()).ServeHTTP(w, r)
}

// unavailable answers as the server of the function does while it starts.
func unavailable(w http.ResponseWriter, detail string) {
	w.Header().Set("Retry-After", "1")
	Refuse(w, http.StatusServiceUnavailable, "starting", detail)
}

// Refuse answers with a problem (RFC 9457).
func Refuse(w http.ResponseWriter, status int, slug, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // who has gone reads no answer
		"type": "https://unified-platform.cs.hse.ru/problems/" + slug, "title": http.StatusText(status),
		"status": status, "detail": detail,
	})
}

// generation is the function as it was read once: its code does not change any more.
type generation struct {
	service *service.Service
	process *Process
	ctx     context.Context
	cancel  context.CancelFunc
	log     *Gate
	ready   chan struct{} // closed when calls can be answered
}

func (s *server) start(ctx context.Context, n int) (*generation, error) {
	g := &generation{log: &Gate{Handler: s.Log.Handler()}, ready: make(chan struct{})}
	socket := filepath.Join(s.dir, strconv.Itoa(n))
	o := service.Options{
		Component: s.Component, Socket: socket, Key: filepath.Join(s.dir, "key"), Workers: s.Workers,
		Queue: queue, Timeout: s.Timeout, Unsigned: true,
	}
	if s.Model != nil {
		o.Model, o.InPlace = s.Model, s.Updates == manifest.Restart
	}
	log := slog.New(g.log)
	o.AccessLog = func(c service.Call) {
		log.Info(msgCall, "method", c.Method, "path", c.Path, "status", c.Status, "took",
			c.Took.Round(10*time.Microsecond))
	}
	var err error
	if o.Shown = s.Shown; o.Shown {
		o.User = caller
	}
	if s.Folders != nil {
		o.User = caller
		if o.Files, err = s.Folders.files(filepath.Join(s.dir, "files-"+strconv.Itoa(n))); err != nil {
			return nil, err
		}
	}
	if g.service, err = service.New(o, log); err != nil {
		return nil, err
	}
	args := WorkerArgs(s.dir, socket, s.Inference, s.Loader, s.Workers, s.Memory)
	if g.process, err = StartProcess(s.Python, args, s.Dir, s.Env, s.Output, nil); err != nil {
		g.service.Close()
		return nil, fmt.Errorf("starting %s: %w", s.Python, err)
	}
	g.ctx, g.cancel = context.WithCancel(ctx)
	s.turn(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context()) // a call that waits does not outlive the generation
		defer cancel()
		defer context.AfterFunc(g.ctx, cancel)()
		g.service.Handler().ServeHTTP(w, r.WithContext(ctx))
	}))
	go s.look(g)
	if s.Memory > 0 {
		go Limit(g.ctx, g.process, g.service, s.Memory, slog.New(g.log))
	}
	if s.Updates != manifest.Off {
		go g.service.Follow(g.ctx, look)
	}
	go s.await(g)
	return g, nil
}

// look has the service look for its model; one that can never be used is told, and calls say it
// too.
func (s *server) look(g *generation) {
	if err := g.service.Look(g.ctx); err != nil {
		s.Log.Error("the model cannot be used", "error", err)
	}
}

// stop ends the processes, and then the calls that wait.
func (g *generation) stop() {
	g.log.Close()
	g.process.Stop()
	g.cancel()
	g.service.Close()
}

// await closes ready once the function is ready, by the same question that Kubernetes asks.
func (s *server) await(g *generation) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	hc := &http.Client{Timeout: 5 * time.Second}
	for {
		if res, err := hc.Get("http://" + s.Listener.Addr().String() + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK && g.ctx.Err() == nil {
				close(g.ready)
				return
			}
		}
		select {
		case <-g.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// attend waits for what ends a generation: a change (again), the end of its processes, of the HTTP
// server, or of the context.
func (s *server) attend(ctx context.Context, g *generation, code *Code, failed <-chan error) (again bool, err error) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	ended, ready := g.process.Done(), g.ready
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case err := <-failed:
			return false, fmt.Errorf("serving: %w", err)
		case <-ready:
			u := "http://" + s.Listener.Addr().String()
			s.Log.Info(msgServing, "url", u+"/predict", "openapi", u+"/openapi.json")
			ready = nil
		case <-ended:
			if ctx.Err() != nil {
				return false, nil
			}
			err := error(&StartError{s.Inference})
			if g.process.Code() != CannotStart {
				err = fmt.Errorf("the function's processes ended: %w", g.process.Err())
			}
			if !s.Reload {
				return false, err
			}
			ended = nil
			s.turn(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { unavailable(w, err.Error()) }))
			g.cancel()
			s.Log.Warn(err.Error() + "; it is tried again when a file changes")
		case <-tick.C:
			if s.Reload {
				if name := code.Changed(); name != "" {
					s.Log.Info("changed, starting again", "file", name)
					return true, nil
				}
			}
			if s.Model == nil {
				continue
			}
			switch found := s.Model.poll(); {
			case found == same:
			case ended == nil: // it may be what was wrong
				s.Log.Info("the model has changed, starting again")
				return true, nil
			case found == came:
				s.Log.Info("the model is here")
				go s.look(g)
			case s.Updates == manifest.Off:
				s.Log.Info("the model has changed; it is not taken up, for model-updates is off")
			default:
				s.Log.Info("the model has changed, a fresh worker loads it")
			}
		}
	}
}

// CannotStart is worker.py's exit code when the function cannot be imported, its docstring is wrong
// or its model cannot be loaded; also Python's own when it cannot run worker.py.
const CannotStart = 1
