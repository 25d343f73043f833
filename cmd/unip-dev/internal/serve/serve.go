// Package serve is `unip dev`: one process that serves a module, with the code that serves it in a
// cluster. It holds the module's gateway, a server for each MLComponent, the storage of the boxes,
// and the engine of the runs.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/unip-knative/unip/cmd/internal/dev"
	"github.com/unip-knative/unip/cmd/internal/devserver"
	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/internal/option"
	"github.com/unip-knative/unip/cmd/unip-dev/internal/engine"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/users"
	gateway "github.com/unip-knative/unip/functions/gateway/service"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
)

// drain is how long calls may go on at the end.
const drain = time.Second

// Run serves until the command's context ends.
func Run(c *cobra.Command, o *dev.Options) error {
	if err := check(o); err != nil {
		return err
	}
	if o.Engine == dev.Engines[0] { // container engines leave behind what is not this module's
		defer engine.Adopt()()
	}
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	out, endOut := newPrinter(c, o, cancel)
	defer endOut()
	p := place{options: o, out: out}
	if err := p.find(); err != nil {
		return err
	}
	m, config, err := decide(c, o)
	if err != nil {
		return err
	}
	listener, err := listen(c.Context(), o)
	if err != nil {
		return err
	}
	defer listener.Close()
	slog.SetDefault(p.out.log(kindLog, nil)) // the gateway's
	end, err := p.open(ctx, m)
	if err != nil {
		return err
	}
	defer end()
	failed := make(chan error, 3) // as many as there are that can
	var endRuns func()
	if p.engine, endRuns, err = p.runs(m, config, failed); err != nil {
		return err
	}
	s, err := newServed(ctx, p, m, config)
	if err != nil {
		endRuns()
		return err
	}
	h := &turning{}
	h.turn(s)
	server := gateway.NewServer(devserver.OwnHost(h, listener.Addr(), o.Hosts))
	p.tellOpening(s, listener.Addr()) // before the first call is
	go func() { failed <- server.Serve(listener) }()
	go func() {
		if err := p.storage.Lost(ctx); err != nil {
			failed <- exit.Because(exit.InputWrong, err)
		}
	}()
	s, err = p.attend(ctx, c, s, h, failed)
	var all sync.WaitGroup
	all.Go(endRuns)
	all.Go(func() {
		over, stop := context.WithTimeout(context.Background(), drain)
		defer stop()
		_ = server.Shutdown(over) // what goes on longer is cut off
		_ = server.Close()
		s.close()
	})
	all.Wait()
	return err
}

// check refuses what cannot be meant.
func check(o *dev.Options) error {
	if err := o.Format.Check(); err != nil {
		return err
	}
	if !slices.Contains(dev.Engines, o.Engine) {
		return exit.Errorf(exit.UsageWrong, "--engine: %q is none of %s", o.Engine, strings.Join(dev.Engines, ", "))
	}
	if o.Idle <= 0 {
		return exit.Errorf(exit.UsageWrong, "--idle: %s is no time to wait; write 1m or the like", o.Idle)
	}
	if o.Parallel < 0 {
		return exit.Errorf(exit.UsageWrong, "--parallel: %d is no number of stages", o.Parallel)
	}
	if o.As == "" {
		return nil
	}
	if ip := net.ParseIP(o.Address); o.Address != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return exit.Errorf(exit.UsageWrong,
			"--as lets everybody in who reaches %s; it works with --address 127.0.0.1 only", o.Address)
	}
	if err := users.CheckBasic(o.As); err != nil {
		return exit.Errorf(exit.UsageWrong, "--as: %w", err)
	}
	return nil
}

// newPrinter tells what happens to who reads it, whom nothing waits for. unread is called when nobody
// reads any more.
func newPrinter(c *cobra.Command, o *dev.Options, unread func()) (p *printer, end func()) {
	p = &printer{json: o.Format.JSON()}
	f, ok := c.OutOrStdout().(*os.File)
	wanted := !p.json && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	p.colour = ok && wanted && term.IsTerminal(int(f.Fd()))
	q := newPending(c.OutOrStdout(), unread, p.gap)
	p.w = q
	return p, q.close
}

// find finds the folders and the Python; a path is meant from the current folder.
func (p *place) find() (err error) {
	o := p.options
	if p.dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	if info, err := os.Stat(p.dir); err != nil || !info.IsDir() {
		return exit.Errorf(exit.InputWrong, "--dir: %s is no folder", o.Dir)
	}
	if p.python, err = exec.LookPath(o.Python); err != nil {
		return exit.Errorf(exit.InputWrong, "--python: %w", err)
	}
	if p.python, err = filepath.Abs(p.python); err != nil {
		return err
	}
	p.shown = o.State
	if p.shown == "" {
		p.shown = filepath.Join(o.Dir, ".unip")
	}
	p.state, err = filepath.Abs(p.shown)
	return err
}

// decide reads the module. What is found wrong goes to standard error.
func decide(c *cobra.Command, o *dev.Options) (*module.Module, installation.Config, error) {
	m, config, found, err := read(c, o)
	for _, d := range found {
		fmt.Fprintln(c.ErrOrStderr(), printable.Line(d.String()))
	}
	return m, config, err
}

func read(c *cobra.Command, o *dev.Options) (*module.Module, installation.Config, manifest.Diagnostics, error) {
	config := installation.Default()
	if o.Config != "" {
		var err error
		if config, err = option.ReadConfig(o.Config); err != nil {
			return nil, config, nil, err
		}
	}
	files, err := o.Read(c.Context(), c.InOrStdin())
	if err != nil {
		return nil, config, nil, err
	}
	raw, found := manifest.Read(files)
	m, found := module.Decide(raw, found, config, module.Options{Lenient: o.Lenient, AllowForeign: o.AllowForeign})
	switch {
	case found.Failed():
		return nil, config, found, exit.Shown(exit.InputWrong, "the manifests are wrong")
	case m.Namespace == "":
		return nil, config, found, exit.Errorf(exit.InputWrong, "there is no module in the manifests")
	}
	return m, config, found, nil
}

func listen(ctx context.Context, o *dev.Options) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(o.Address, strconv.Itoa(o.Port)))
	if err != nil {
		return nil, exit.Errorf(exit.NotServable, "%w; --port chooses another port, --port 0 one that is free", err)
	}
	return l, nil
}

// turning hands each call to the module as it was read last.
type turning struct{ now atomic.Pointer[served] }

func (t *turning) turn(s *served) { t.now.Store(s) }

// ServeHTTP answers one call.
func (t *turning) ServeHTTP(w http.ResponseWriter, r *http.Request) { t.now.Load().ServeHTTP(w, r) }

// attend waits for the end: of the context, or of what it needs. With --reload it takes up what
// has changed. It gives the module that is served at the end.
func (p *place) attend(ctx context.Context, c *cobra.Command, s *served, h *turning, failed <-chan error) (
	*served, error,
) {
	var tick <-chan time.Time
	w := newWatch(p.options, p.dir)
	if p.options.Reload {
		t := time.NewTicker(look)
		defer t.Stop()
		tick = t.C
		w.changed() // what is there now
	}
	for {
		select {
		case <-ctx.Done():
			return s, nil
		case err := <-failed:
			if errors.Is(err, http.ErrServerClosed) {
				err = nil
			}
			return s, err
		case <-tick:
			manifests, code := w.changed()
			switch {
			case manifests != "":
				s = p.reload(ctx, c, s, h, manifests)
			case code != "":
				p.out.tell(Happening{Kind: "reload", Text: code + " has changed: functions start anew at their next call"})
				s.restart()
			}
		}
	}
}

// reload serves the module as it is now. One that is wrong changes nothing.
func (p *place) reload(ctx context.Context, c *cobra.Command, old *served, h *turning, file string) *served {
	keep := func(why string) *served {
		p.out.tell(Happening{Kind: "reload", Text: why, Failed: true})
		p.out.tell(Happening{Kind: "reload", Text: file + " has changed: the module stays as it was", Failed: true})
		return old
	}
	m, config, found, err := read(c, p.options)
	for _, d := range found {
		if d.Severity == manifest.Error {
			p.out.tell(Happening{Kind: "reload", Text: d.String(), Failed: true})
		}
	}
	if err != nil {
		return keep(err.Error())
	}
	if m.Namespace != old.module.Namespace {
		return keep("the module is another one now, " + m.Namespace + ": end unip dev and start it again")
	}
	s, err := newServed(ctx, *p, m, config)
	if err != nil {
		return keep(err.Error())
	}
	p.engine.Use(m)
	h.turn(s)
	old.close()
	p.out.tell(Happening{Kind: "reload", Text: file + " has changed: the module is served as it is now"})
	return s
}
