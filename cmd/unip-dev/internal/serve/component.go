package serve

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/unip-knative/unip/cmd/internal/devserver"
	"github.com/unip-knative/unip/cmd/unip-dev/internal/engine"
	pod "github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/functions/inference/service"
	"github.com/unip-knative/unip/functions/inference/storage"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
)

const (
	// queue is how many calls may wait for each worker, as in a cluster.
	queue = 100
	// modelPace is how often an awake component looks for a newer model.
	modelPace = time.Second
	// poll is how often a start is asked whether it is ready.
	poll = 10 * time.Millisecond
	// again is how long a start that has failed stands for the calls that come next: the gateway's
	// question and the call that it asks for are one start.
	again = time.Second
)

// component is an MLComponent: a server whose Python runs while somebody calls.
type component struct {
	module.Component
	served    *served
	dir       string // of its own
	mounts    devserver.Mounts
	undo      func()
	furnished func(*exec.Cmd) error // has its Python see the folders at their paths; nil: it does not
	listener  net.Listener
	server    *http.Server
	env       []string
	idle      time.Duration // how long it stays awake; 0: it does not sleep
	tell      func(text string, failed bool)

	mu      sync.Mutex
	n       int // starts
	running *function
	calls   int
	last    time.Time // when the last call ended
	failed  error
	since   time.Time // when it failed
	said    string    // the last line that it has printed
	closed  bool
}

// function is one start of a component's Python.
type function struct {
	service *service.Service
	process *devserver.Process
	ctx     context.Context
	cancel  context.CancelFunc
	log     *devserver.Gate
	mark    string        // of its processes
	files   string        // folder of its calls' files; "" without
	ready   chan struct{} // closed when calls can be answered
	stopped sync.Once
}

func newComponent(s *served, x module.Component) (*component, error) {
	c := &component{Component: x, served: s, dir: filepath.Join(s.own, "components", x.Name)}
	c.tell = func(text string, failed bool) {
		s.out.tell(Happening{Kind: "component", Names: map[string]string{"component": x.Name}, Text: text,
			Failed: failed})
	}
	if err := c.sessions(); err != nil {
		return nil, err
	}
	var err error
	if c.idle, err = idleOf(x.Scaling, s.options.Idle); err != nil {
		return nil, fmt.Errorf("MLComponent %s: %w", x.Name, err)
	}
	c.mounts = c.folders()
	log := s.out.log("component", map[string]string{"component": x.Name})
	if err = c.furnish(slog.New(told{log.Handler()})); err != nil {
		return nil, err
	}
	c.env = devserver.Environment(s.module, x, c.elsewhere(), s.warnings())
	c.listener, err = (&net.ListenConfig{}).Listen(s.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		c.undo()
		return nil, err
	}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	go func() { _ = c.server.Serve(c.listener) }() // until it is closed
	go c.tend()
	return c, nil
}

// told is a handler that takes what is usual for a warning: it is said once, at the start.
type told struct{ slog.Handler }

func (h told) Handle(ctx context.Context, r slog.Record) error {
	r.Level = max(r.Level, slog.LevelWarn)
	return h.Handler.Handle(ctx, r)
}

// idleOf is how long a component stays awake without calls; 0 is for ever.
func idleOf(s module.Scaling, usual time.Duration) (time.Duration, error) {
	if s.Least != "" && s.Least != "0" {
		return 0, nil
	}
	if s.Delay == "" {
		return usual, nil
	}
	delay, err := time.ParseDuration(s.Delay)
	return usual + delay, err
}

// address is where the gateway calls it.
func (c *component) address() *url.URL {
	return &url.URL{Scheme: "http", Host: c.listener.Addr().String()}
}

// sessions writes those of its model and its mounts.
func (c *component) sessions() error {
	if c.Model != nil {
		if err := c.served.session(filepath.Join(c.dir, "model.json"), c.Model.Box); err != nil {
			return err
		}
	}
	for i, m := range c.Mounts {
		for _, name := range []string{pod.ReadSession, pod.WriteSession} {
			if err := c.served.session(filepath.Join(c.dir, "mount-sessions", pod.Folder(i), name), m.Box); err != nil {
				return err
			}
		}
	}
	return nil
}

// modelFile is where the model lies.
func (c *component) modelFile() string {
	dir := filepath.Join(c.dir, "model")
	if strings.HasSuffix(c.Model.Path, "/") {
		return dir
	}
	return filepath.Join(dir, path.Base(c.Model.Path))
}

// mountFolder is where a mount lies.
func (c *component) mountFolder(i int) string { return filepath.Join(c.dir, "mounts", pod.Folder(i)) }

// folders are what a container has at paths of its own, and where it is here.
func (c *component) folders() devserver.Mounts {
	var all devserver.Mounts
	for i, m := range c.Mounts {
		all = append(all, devserver.Mount{Path: m.Path, Local: c.mountFolder(i), Write: m.Write,
			Shown: fmt.Sprintf("a copy of %s, made at each start",
				filepath.Join(c.served.shown, "boxes", m.Box, filepath.FromSlash(m.Prefix)))})
	}
	if c.Model != nil && !c.Model.Inside {
		folder := path.Dir(c.Model.Path)
		if strings.HasSuffix(c.Model.Path, "/") {
			folder = path.Clean(c.Model.Path)
		}
		m := devserver.Mount{Path: folder, Local: filepath.Join(c.dir, "model"),
			Shown: fmt.Sprintf("the model of %s, at the path that the loader is given",
				filepath.Join(c.served.shown, "boxes", c.Model.Box, filepath.FromSlash(c.Model.Object)))}
		if c.Model.Linked { // the folder has files of the image's own
			m.Path, m.Local, m.File = c.Model.Path, c.modelFile(), true
		}
		all = append(all, m)
	}
	return all
}

// tend starts a component that does not sleep, and ends the Python of one that nobody calls.
func (c *component) tend() {
	if c.idle == 0 {
		ctx, cancel := context.WithTimeout(c.served.ctx, time.Minute)
		_, _ = c.awake(ctx) // what is wrong has been told
		cancel()
		return
	}
	tick := time.NewTicker(min(time.Second, c.idle/4+time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-c.served.ctx.Done():
			return
		case <-tick.C:
		}
		c.mu.Lock()
		f := c.running
		sleeps := f != nil && f.isReady() && c.calls == 0 && time.Since(c.last) >= c.idle
		if sleeps {
			c.running = nil
		}
		c.mu.Unlock()
		if sleeps {
			f.stop()
			c.tell(c.Name+" sleeps: nobody calls", false)
		}
	}
}

func (f *function) isReady() bool {
	select {
	case <-f.ready:
		return true
	default:
		return false
	}
}

// ServeHTTP answers a call when the component is awake.
func (c *component) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, err := c.enter(r.Context())
	defer c.leave()
	if err != nil {
		status := http.StatusServiceUnavailable
		if r.URL.Path == "/readyz" {
			status = http.StatusInternalServerError // the gateway asks no more: the call's own answer tells
		}
		w.Header().Set("Retry-After", "1")
		devserver.Refuse(w, status, "starting", err.Error())
		return
	}
	ctx, cancel := context.WithCancel(r.Context()) // a call that waits does not outlive its function
	defer cancel()
	defer context.AfterFunc(f.ctx, cancel)()
	f.service.Handler().ServeHTTP(w, r.WithContext(ctx))
}

func (c *component) enter(ctx context.Context) (*function, error) {
	c.mu.Lock()
	c.calls++
	c.mu.Unlock()
	return c.awake(ctx)
}

func (c *component) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls--
	c.last = time.Now()
}

// awake is the component's function when it can be called, after a start where it sleeps or its
// processes have died meanwhile.
func (c *component) awake(ctx context.Context) (*function, error) {
	for {
		f, err := c.started()
		if err != nil {
			return nil, err
		}
		select {
		case <-f.ready:
		case <-f.process.Done():
		case <-f.ctx.Done():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		select {
		case <-f.process.Done():
		case <-f.ctx.Done():
		default:
			return f, nil
		}
		if err := c.ended(f); !f.isReady() {
			return nil, err
		}
	}
}

func (c *component) started() (*function, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, errors.New("unip dev ends")
	case c.running != nil:
		return c.running, nil
	case c.failed != nil && time.Since(c.since) < again:
		return nil, c.failed
	}
	f, err := c.start()
	if err != nil {
		c.failed, c.since = err, time.Now()
		c.tell(err.Error(), true)
		return nil, err
	}
	c.running, c.failed = f, nil
	return f, nil
}

// ended takes leave of a function whose process is there no more, and says why. The next call starts
// it anew, unless it could not be started at all: then it does so when a moment has passed.
func (c *component) ended(f *function) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != f { // somebody has seen it, or has ended it
		if c.failed != nil {
			return c.failed
		}
		return errors.New("the function was ended while it started; call again")
	}
	c.running = nil
	go f.stop()
	if f.isReady() || f.process.Code() != devserver.CannotStart {
		err := fmt.Errorf("the processes of %s ended: %w", c.Inference, f.process.Err())
		c.tell(c.Name+": "+err.Error(), true)
		if !f.isReady() {
			c.failed, c.since = err, time.Now()
		}
		return err
	}
	c.failed = fmt.Errorf("%s cannot be started: %s", c.Inference, cmp.Or(c.said, "unip dev has shown why"))
	c.since = time.Now()
	c.tell(c.Name+": "+c.failed.Error(), true)
	return c.failed
}

func (c *component) start() (*function, error) {
	c.n++
	began := time.Now()
	mark := c.served.engine.Mark(path.Join("components", filepath.Base(c.served.own), c.Name, strconv.Itoa(c.n)))
	f := &function{mark: mark, ready: make(chan struct{}), log: &devserver.Gate{
		Handler: c.served.out.log("component", map[string]string{"component": c.Name}).Handler()}}
	log := slog.New(f.log)
	o, err := c.service(log)
	if err != nil {
		return nil, err
	}
	if o.Files != nil {
		f.files = o.Files.Dir
	}
	if f.service, err = service.New(o, log); err != nil {
		return nil, err
	}
	args := devserver.WorkerArgs(c.served.worker, o.Socket, devserver.Place(c.served.dir, c.Inference),
		devserver.Place(c.served.dir, c.Loader), c.Workers, c.memory())
	if len(c.Mounts) > 0 {
		var paths []string
		for _, m := range o.Mounts.Entries {
			paths = append(paths, m.Path)
		}
		args = append(args, "--mounts", strings.Join(paths, ":"))
	}
	f.process, err = devserver.StartProcess(c.served.python, args, c.served.dir, append(slices.Clone(c.env), mark),
		c.output(), c.furnished)
	if err != nil {
		_ = f.service.Close() // nobody has come to it
		return nil, fmt.Errorf("starting %s: %w", c.served.python, err)
	}
	f.ctx, f.cancel = context.WithCancel(c.served.ctx)
	if c.memory() > 0 {
		go devserver.Limit(f.ctx, f.process, f.service, c.memory(), log)
	}
	for _, begin := range []func(context.Context) error{f.service.Bring, f.service.Look} {
		go func() {
			if err := begin(f.ctx); err != nil {
				c.tell(c.Name+": "+err.Error(), true)
				if errors.Is(err, service.ErrInvalidMounts) {
					f.process.Stop()
				}
			}
		}()
	}
	if c.Model != nil && c.Model.Updates != manifest.Off {
		go f.service.Follow(f.ctx, modelPace)
	}
	go func() {
		if f.await() {
			c.tell(fmt.Sprintf("%s is awake, after %s", c.Name, time.Since(began).Round(time.Millisecond)), false)
		}
	}()
	return f, nil
}

// memory is its limit in bytes; 0 is none.
func (c *component) memory() int64 { return c.Resources.Limits.Memory().Value() }

// service are the options of its server, those that a pod has in a cluster.
func (c *component) service(log *slog.Logger) (service.Options, error) {
	s := c.served
	o := service.Options{
		Component: c.Name, Socket: filepath.Join(s.sockets, rand.Text()[:8]), Key: s.key,
		Workers: c.Workers, Queue: queue, Timeout: time.Duration(c.TimeoutSeconds) * time.Second,
		MaxBody: int64(s.config.Limits.BodyMiB) << 20, Unsigned: c.Anonymous,
	}
	n := strconv.Itoa(c.n)
	if c.Model != nil {
		file := c.modelFile()
		o.Model = &storage.Model{Session: filepath.Join(c.dir, "model.json"), Object: c.Model.Object, File: file,
			Path: file,
			Next: filepath.Join(c.dir, "next"), Log: log}
		o.InPlace = c.Model.Updates == manifest.Restart
	}
	if len(c.Boxes) > 0 {
		files := filepath.Join(c.dir, "files-"+n)
		if err := os.MkdirAll(files, 0o700); err != nil {
			return o, err
		}
		boxes := make(service.Boxes, len(c.Boxes))
		for i, b := range c.Boxes {
			boxes[i] = service.Box{Name: b.Name, ReadOnly: b.ReadOnly}
		}
		o.Files = &service.Files{Dir: files, Boxes: boxes, Namespace: s.module.Namespace,
			Storage: &storage.Files{Dir: filepath.Join(s.own, "boxes"), Log: log}}
	}
	if len(c.Mounts) > 0 {
		dir := filepath.Join(c.dir, "mounts")
		if err := os.RemoveAll(dir); err != nil { // what the last start had
			return o, err
		}
		told := c.told()
		boxes := &storage.Mounts{Mounts: told, Dir: dir, Sessions: filepath.Join(c.dir, "mount-sessions"), Log: log}
		if err := boxes.Prepare(); err != nil {
			return o, err
		}
		o.Mounts = &service.Mounts{Mounts: told, Dir: dir, Storage: boxes}
	}
	return o, nil
}

// told is what a server is told of its mounts. The function has them where they are.
func (c *component) told() pod.Mounts {
	all := pod.Mounts{MaxSize: c.served.config.Mounts.Bytes(), Models: c.Kept}
	for i, m := range c.Mounts {
		e := pod.Mount{Box: m.Box, Prefix: m.Prefix, Path: c.mountFolder(i), Write: m.Write}
		for _, name := range m.Links {
			e.Links = append(e.Links, pod.Link{Name: name, Target: c.modelFile()})
		}
		all.Entries = append(all.Entries, e)
	}
	return all
}

// await closes ready once the function is ready, by the same question that Kubernetes asks; false
// when it ends before.
func (f *function) await() bool {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if f.answersReady() {
			close(f.ready)
			return true
		}
		select {
		case <-f.process.Done():
			return false
		case <-f.ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

func (f *function) answersReady() bool {
	r, err := http.NewRequestWithContext(f.ctx, http.MethodGet, "/readyz", http.NoBody)
	if err != nil {
		return false
	}
	w := answer{header: http.Header{}}
	f.service.Handler().ServeHTTP(&w, r)
	return w.status == http.StatusOK
}

// answer keeps the status of an answer.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header { return a.header }
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}
func (a *answer) Write(b []byte) (int, error) { a.WriteHeader(http.StatusOK); return len(b), nil }

// stop ends the processes, and then the calls that wait.
func (f *function) stop() {
	f.stopped.Do(func() {
		f.log.Close()
		f.process.Stop()
		engine.EndMarked(f.mark) // what has left its group
		f.cancel()
		_ = f.service.Close() // it ends in any case
		if f.files != "" {
			_ = os.RemoveAll(f.files) // the end of unip dev does it, too
		}
	})
}

// restart has the next call start the function anew.
func (c *component) restart() {
	c.mu.Lock()
	f := c.running
	c.running, c.failed = nil, nil
	c.mu.Unlock()
	if f != nil {
		f.stop()
	}
	if c.idle == 0 {
		go c.tend()
	}
}

// close ends the component.
func (c *component) close() {
	c.mu.Lock()
	f := c.running
	c.running, c.closed = nil, true
	c.mu.Unlock()
	if f != nil {
		f.stop()
	}
	_ = c.server.Close() // it ends in any case
	c.undo()
}

// writeSession writes a session file.
func writeSession(file string, s databox.Session) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}
