package devserver

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unip-knative/unip/eventing/printable"
)

// Messages that people get in another form than the rest.
const (
	msgServing = "serving predict"
	msgCall    = "call" // one for each call
)

// NewHandler writes records for people, a line each: calls short, everything else with the
// component's name before it.
func NewHandler(w io.Writer, component string) slog.Handler {
	return &people{w: w, component: component}
}

type people struct {
	w         io.Writer
	component string
	mu        sync.Mutex
}

// Enabled leaves out what is for debugging.
func (*people) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// WithAttrs and WithGroup: nothing that writes here has attributes of its own.
func (p *people) WithAttrs([]slog.Attr) slog.Handler { return p }

// WithGroup is as WithAttrs.
func (p *people) WithGroup(string) slog.Handler { return p }

// Handle writes one line.
func (p *people) Handle(_ context.Context, r slog.Record) error {
	attr := map[string]slog.Value{}
	var all strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		attr[a.Key] = a.Value
		fmt.Fprintf(&all, " %s=%v", a.Key, a.Value)
		return true
	})
	line := p.component + ": " + r.Message + all.String()
	switch r.Message {
	case msgServing:
		line = fmt.Sprintf("%s: %s at %s (openapi: %s)", p.component, r.Message, attr["url"], attr["openapi"])
	case msgCall:
		line = fmt.Sprintf("%s %s %s %s %s", r.Time.Format(time.TimeOnly), attr["method"], attr["path"], attr["status"],
			attr["took"])
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := fmt.Fprintln(p.w, printable.Line(strings.ReplaceAll(line, "\n", " ")))
	return err
}

// Gate is a handler until it is closed: what a function's server says while it is being ended concerns
// nobody.
type Gate struct {
	slog.Handler
	closed atomic.Bool
}

// Close closes the gate.
func (g *Gate) Close() { g.closed.Store(true) }

// Enabled is false once the gate is closed.
func (g *Gate) Enabled(ctx context.Context, l slog.Level) bool {
	return !g.closed.Load() && g.Handler.Enabled(ctx, l)
}
