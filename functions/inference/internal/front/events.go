package front

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"time"
)

// eventStream is the media type of server-sent events.
const eventStream = "text/event-stream"

// eventPause is how long a caller may keep its events waiting, all of them together.
const eventPause = 20 * time.Second

// events answers a call with server-sent events: one for each output, when the function gives it, and
// an event "end"; or an event "problem" for what goes wrong after the first one.
type events struct {
	w    http.ResponseWriter
	conn *http.ResponseController

	mu    sync.Mutex
	begun bool
	over  bool          // the caller is answered, or gone
	left  time.Duration // of eventPause
}

// eventsOf is nil for a call that wants none.
func eventsOf(w http.ResponseWriter, r *http.Request) *events {
	if !strings.Contains(r.Header.Get("Accept"), eventStream) {
		return nil
	}
	return &events{w: w, conn: http.NewResponseController(w), left: eventPause}
}

// send writes an event, unless the caller is gone.
func (e *events) send(kind string, data []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return
	}
	if !e.begun {
		e.begun = true
		h := e.w.Header()
		h.Set("Content-Type", eventStream)
		h.Set("Cache-Control", "no-store")
		e.w.WriteHeader(http.StatusOK)
	}
	var b bytes.Buffer
	if kind != "" {
		b.WriteString("event: " + kind + "\n")
	}
	for line := range bytes.SplitSeq(bytes.TrimSpace(data), []byte("\n")) {
		b.WriteString("data: ")
		b.Write(line)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	began := time.Now()
	_ = e.conn.SetWriteDeadline(began.Add(e.left)) // a connection without deadlines has none
	_, err := e.w.Write(b.Bytes())
	if err == nil {
		err = e.conn.Flush()
	}
	e.left -= time.Since(began)
	e.over = err != nil || e.left <= 0
}

// output is an output of the function.
func (e *events) output(data []byte) { e.send("", data) }

// end ends the events: what comes later is for nobody.
func (e *events) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
	_ = e.conn.SetWriteDeadline(time.Time{})
}

// writer is where a problem is written: a usual answer before the first event, else one of them. After
// a call that has failed, an output that still comes before the answer is for nobody: the worker may
// go on when the caller has gone.
func (e *events) writer(failed bool) http.ResponseWriter {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.begun {
		e.over = failed
		return e.w
	}
	return problemEvent{e, http.Header{}}
}

type problemEvent struct {
	events *events
	header http.Header
}

func (p problemEvent) Header() http.Header { return p.header }

func (p problemEvent) WriteHeader(int) {}

func (p problemEvent) Write(b []byte) (int, error) {
	p.events.send("problem", b)
	return len(b), nil
}
