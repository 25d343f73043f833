// Package service is an inference server without its network: the HTTP handler of one Python
// function, and the socket to which its workers come. The container `server` of an MLComponent runs
// it, and `unip serve` on a developer's machine.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/unip-knative/unip/functions/inference/internal/accesslog"
	"github.com/unip-knative/unip/functions/inference/internal/files"
	"github.com/unip-knative/unip/functions/inference/internal/front"
	"github.com/unip-knative/unip/functions/inference/internal/model"
	"github.com/unip-knative/unip/functions/inference/internal/mounts"
	"github.com/unip-knative/unip/functions/inference/internal/pool"
)

var (
	// ErrMissing is what a Source says of a model that is not there (yet): calls are answered 503
	// model-not-found, and look again.
	ErrMissing = model.ErrMissing
	// ErrInvalid is what it says of one that can never be served as it is.
	ErrInvalid = model.ErrInvalid
	// ErrNoFile is what a Storage says of a file that a user does not have.
	ErrNoFile = files.ErrMissing
	// ErrInvalidMounts is what a start says whose mounts can never be brought as they are.
	ErrInvalidMounts = mounts.ErrInvalid
	// ErrFileChanged is what it says of a file that is another one than the version that was asked
	// for.
	ErrFileChanged = files.ErrChanged
)

// Source is where a model comes from, Changing one whose model may change, File what it has
// fetched.
type (
	Source   = model.Source
	Changing = model.Changing
	File     = model.File
)

// Files serves the FILE values of calls from Boxes that the component is connected to; Storage is
// what keeps them, Content what it is given to keep.
type (
	Files   = files.Files
	Boxes   = files.Boxes
	Box     = files.Box
	Storage = files.Storage
	Place   = files.Place
	Version = files.Version
	Content = files.Content
)

// Mounts are the folders that the component's entries of connectedBoxes are.
type Mounts = mounts.Mounts

// Call is a request that has been answered, as the access log is told.
type Call = accesslog.Call

// Options of a service.
type Options struct {
	// Component is the component's name.
	Component string
	// Socket is where the workers connect, Key the file with the module's key, which need not be
	// there.
	Socket, Key string
	// Model is where the model comes from; nil for a component without one.
	Model Source
	// InPlace: when the model changes, a worker ends before the one that takes its place loads the
	// newer one, so that never two lie in memory.
	InPlace bool
	// Files serves FILE values; nil for a component that is connected to no box. New fills in its
	// Component, Timeout and Log.
	Files *Files
	// Mounts are brought before the function is imported; nil for a component without some. New fills
	// in its Unsigned, Timeout, Stored, Reveal and Log.
	Mounts *Mounts
	// Unsigned says that calls without the gateway's signature are answered, too. User is who makes
	// them; "": they are anonymous, and have no files. Shown lets the function know.
	Unsigned bool
	User     string
	Shown    bool
	// Workers is how many workers there are, Queue how many calls may wait for each.
	Workers, Queue int
	// Image says that the function is in one, which each start finds as it was made: where much has to
	// be compiled, the log says so.
	Image bool
	// Timeout is how long one call of the function may take.
	Timeout time.Duration
	// MaxBody is the largest body of a request in bytes; 0: 64 MiB.
	MaxBody int64
	// AccessLog is told of each request; nil: nobody is.
	AccessLog func(Call)
	// Tracer makes a span of each request; nil for none.
	Tracer trace.Tracer
}

// Service answers a component's calls.
type Service struct {
	front   *front.Server
	pool    *pool.Pool
	handler http.Handler
	mounts  *Mounts
	socket  string
}

// hidden is the end of the socket's name until workers may come to it.
const hidden = ".later"

// New listens for workers. The caller closes the service.
func New(o Options, log *slog.Logger) (*Service, error) {
	f := &front.Server{
		Component: o.Component, Timeout: o.Timeout, Key: &front.Key{Path: o.Key}, Unsigned: o.Unsigned, User: o.User,
		Shown: o.Shown, Image: o.Image,
		Log: log, AccessLog: o.AccessLog, MaxBody: o.MaxBody, Tracer: o.Tracer,
	}
	f.Init()
	socket := o.Socket
	if o.Mounts != nil { // workers look for it while the mounts come, and import nothing before they have found it
		socket += hidden
		if err := os.Remove(o.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("removing the socket of an earlier start: %w", err)
		}
		o.Mounts.Unsigned, o.Mounts.Timeout, o.Mounts.Log, o.Mounts.Stored = o.Unsigned, o.Timeout, log, f.Stored
		o.Mounts.Init()
		if o.Mounts.Writable() {
			f.Mounts = o.Mounts
		}
	}
	p, err := pool.Listen(socket, o.Queue*max(1, o.Workers), o.Model != nil, f.Watch(), log)
	if err != nil {
		return nil, err
	}
	f.Pool = p
	if o.Mounts != nil {
		o.Mounts.Reveal = p.Reveal
	}
	if o.Files != nil {
		o.Files.Component, o.Files.Timeout, o.Files.Log = o.Component, o.Timeout, log
		if err := o.Files.Prepare(); err != nil {
			p.Close()
			return nil, err
		}
		f.Files = o.Files
	}
	if o.Model != nil {
		f.Model = &model.Model{Source: o.Model, Load: func(ctx context.Context, got File) error {
			return p.Load(ctx, pool.Model(got))
		}, Swap: func(ctx context.Context, got File) error {
			err := p.Swap(ctx, pool.Model(got), o.InPlace, loadTime)
			var unfit *pool.LoadError
			if errors.As(err, &unfit) {
				return fmt.Errorf("%w: %w", model.ErrUnfit, err)
			}
			return err
		}, Fetched: f.Fetched, Updated: f.Updated, Log: log}
		f.Model.Init()
	}
	return &Service{pool: p, front: f, handler: f.Handler(), mounts: o.Mounts, socket: o.Socket}, nil
}

// loadTime is how long a worker may take to load a newer model.
const loadTime = 10 * time.Minute

// Metrics answers a Prometheus.
func (s *Service) Metrics() http.Handler { return s.front.Metrics() }

// Active is how many requests are being answered.
func (s *Service) Active() int { return s.front.Active() }

// Starve notes that a process of the function, of this number, is about to be killed for want of
// memory: where no container has a limit, somebody else sees to it.
func (s *Service) Starve(pid int) { s.pool.Starve(pid) }

// Handler answers over HTTP.
func (s *Service) Handler() http.Handler { return s.handler }

// Close stops accepting workers; those that are there end when their connections do.
func (s *Service) Close() error {
	if s.mounts != nil {
		s.mounts.Close()
	}
	return s.pool.Close()
}

// Bring brings the mounts, if there are some, and then lets workers come. It tries until it has, or the
// context ends. The error is ErrInvalidMounts: the component cannot start with them.
func (s *Service) Bring(ctx context.Context) error {
	if s.mounts == nil {
		return nil
	}
	for start := time.Now(); ; {
		got, err := s.mounts.Storage.Fetch(ctx)
		if err == nil {
			err = s.mounts.Watch()
		}
		if err == nil {
			s.front.Log.Info("mounts fetched", "files", got.Files, "bytes", got.Bytes, "seconds",
				time.Since(start).Seconds())
			s.front.Mounted(time.Since(start), got.Files, got.Bytes)
			return os.Rename(s.socket+hidden, s.socket)
		}
		if errors.Is(err, mounts.ErrInvalid) {
			return err
		}
		if ctx.Err() == nil {
			s.front.Log.Error("fetching the mounts", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// Follow takes up newer versions of the model, which it looks for at this pace, until the context
// ends. A service without a model, or whose Source is none that changes, has none.
func (s *Service) Follow(ctx context.Context, pace time.Duration) {
	if s.front.Model != nil {
		s.front.Model.Follow(ctx, pace)
	}
}

// Look looks for the model, if there is one, until its source has said whether it is there, or the
// context ends; later looks are the calls'. The error is ErrInvalid: the component cannot start
// with this model, and better ends with the reason than waits for its deadline.
func (s *Service) Look(ctx context.Context) error {
	if s.front.Model == nil {
		return nil
	}
	for {
		err := s.front.Model.Get(ctx)
		s.front.Looked(err)
		switch {
		case err == nil || errors.Is(err, model.ErrMissing):
			return nil
		case errors.Is(err, model.ErrInvalid):
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}
