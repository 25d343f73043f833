package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/unip-knative/unip/eventing/printable"
)

// Happening is what has happened in the module, as it is told: a line for people, or of JSON.
type Happening struct {
	Time time.Time `json:"time"`
	Kind string    `json:"kind"` // call, upload, run, stage, component, output, event, reload, log, …
	// Names say what it is about: pipeline, run, stage, component, box, user, …
	Names map[string]string `json:"names,omitempty"`
	Text  string            `json:"text"`
	// Seconds that it took.
	Seconds float64 `json:"seconds,omitempty"`
	// Event is the whole CloudEvent of an event.
	Event json.RawMessage `json:"event,omitempty"`
	// LeftOut is how many lines are missing here, for nobody read them in time.
	LeftOut int `json:"left_out,omitempty"`
	// Failed says that it is not as it should be.
	Failed bool `json:"failed,omitempty"`
}

// printer tells what happens. It is safe for concurrent use.
type printer struct {
	mu     sync.Mutex
	w      io.Writer
	json   bool
	colour bool
}

// gap is the line in place of those that were left out.
func (p *printer) gap(n int) string {
	return p.encode(Happening{Time: time.Now(), Kind: kindLog, LeftOut: n, Failed: true,
		Text: fmt.Sprintf("%d lines are left out here: nobody read them in time", n)})
}

// What a terminal is told of colours.
const (
	plain = "\x1b[0m"
	dim   = "\x1b[2m"
	red   = "\x1b[31m"
)

// kinds have a colour each; the others have none.
var kinds = map[string]string{
	"call": "\x1b[36m", "upload": "\x1b[33m", "run": "\x1b[32m", "stage": "\x1b[34m", "component": "\x1b[35m",
	"reload": "\x1b[33m", "event": dim, "output": dim, "schedule": "\x1b[33m",
}

// tell writes one happening.
func (p *printer) tell(h Happening) {
	if h.Time.IsZero() {
		h.Time = time.Now()
	}
	p.text(p.encode(h))
}

func (p *printer) encode(h Happening) string {
	if !p.json {
		return p.line(h) + "\n"
	}
	b, err := json.Marshal(h)
	if err != nil { // texts always encode
		return ""
	}
	return string(b) + "\n"
}

// kindWidth is how wide the column of kinds is.
const kindWidth = 9

func (p *printer) line(h Happening) string {
	text := printable.Line(h.Text)
	if h.Kind == "component" || h.Kind == kindLog {
		for _, name := range slices.Sorted(maps.Keys(h.Names)) {
			if value := h.Names[name]; !strings.Contains(h.Text, value) {
				text += " " + printable.Line(name+"="+value)
			}
		}
	}
	at, kind := h.Time.Format(time.TimeOnly), fmt.Sprintf("%-*s", kindWidth, h.Kind)
	if !p.colour {
		return at + " " + kind + " " + text
	}
	colour := kinds[h.Kind]
	if h.Failed {
		return dim + at + plain + " " + colour + kind + plain + " " + red + text + plain
	}
	return dim + at + plain + " " + colour + kind + plain + " " + text
}

// text writes a text as it is. What cannot be written, on a full disk say, is missed.
func (p *printer) text(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.w, s)
}

// log is a log whose records are told. Those of the usual kind only when they are news, warnings and
// errors always; names are part of each.
func (p *printer) log(kind string, names map[string]string) *slog.Logger {
	return slog.New(&handler{printer: p, kind: kind, names: names})
}

type handler struct {
	printer *printer
	kind    string
	names   map[string]string
}

// msgCall is the message of the gateway's record of a call.
const msgCall = "call"

// news are the messages of records that are told though nothing is wrong.
var news = []string{"model fetched", "a newer model is in service", "mounts fetched", msgCall}

// Enabled leaves out what is for debugging.
func (*handler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// WithAttrs and WithGroup: nothing that logs here has attributes of its own.
func (h *handler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup is as WithAttrs.
func (h *handler) WithGroup(string) slog.Handler { return h }

// Handle tells one record.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn && !slices.Contains(news, r.Message) {
		return nil
	}
	if r.Message == msgCall && h.kind == kindLog {
		h.printer.tell(call(r))
		return nil
	}
	var text strings.Builder
	text.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&text, " %s=%v", a.Key, a.Value)
		return true
	})
	h.printer.tell(Happening{Time: r.Time, Kind: h.kind, Names: h.names, Text: text.String(),
		Failed: r.Level >= slog.LevelWarn})
	return nil
}

const kindLog = "log"

// call is the gateway's record of a call.
func call(r slog.Record) Happening {
	attr := map[string]slog.Value{}
	r.Attrs(func(a slog.Attr) bool {
		attr[a.Key] = a.Value
		return true
	})
	took := time.Duration(attr["seconds"].Float64() * float64(time.Second)).Round(10 * time.Microsecond)
	h := Happening{Time: r.Time, Kind: msgCall, Names: map[string]string{},
		Text:   fmt.Sprintf("%s %s %s %s", attr["method"], attr["path"], attr["status"], took),
		Failed: attr["status"].Int64() >= 500}
	for _, name := range []string{"api", "user"} {
		if v := attr[name].String(); v != "" {
			h.Names[name] = v
		}
	}
	if user := h.Names["user"]; user != "" {
		h.Text += " " + user
	}
	return h
}
