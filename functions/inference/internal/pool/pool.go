// Package pool holds the Python processes of one MLComponent and hands each call to one that is
// free.
//
// It listens on the Unix socket; the processes come to it: one supervisor, and workers that the
// supervisor forks. A call waits its turn, first come first served, behind a bounded number of
// others. A worker that overruns its deadline is killed through the supervisor, which replaces it;
// a worker that dies in a call fails that call only. A caller who goes away while waiting gives up
// the place; one who goes away during the call leaves the worker to finish, and the answer is
// dropped. The only worker of a pool gets short calls ahead of their turn (work.go); they wait
// until it begins them.
package pool

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
	"github.com/unip-knative/unip/functions/inference/internal/rights"
)

// Errors of Do, beside *DiedError and the context's.
var (
	// ErrFull: as many calls wait as may.
	ErrFull = errors.New("too many calls wait")
	// ErrDeadline: the call took longer than it may. Its worker is being replaced.
	ErrDeadline = errors.New("the function did not answer in time")
	// ErrNoModel: the component has a model and it is not loaded.
	ErrNoModel = errors.New("the model is not loaded")
)

// DiedError says how a worker ended in the middle of a call.
type DiedError struct{ How string }

func (e *DiedError) Error() string { return "the function's process " + e.How }

// Call is what the worker gets: the body of the request, of which More may say that numbers were
// taken out, and the request's id, of which the function's prints are marked in the log.
type Call struct {
	ID   string
	Body []byte
	// More is a JSON object with what else there is to say of the call, nil for nothing.
	More []byte
	// Returns says that the worker may hand over files with its answer.
	Returns bool
	// Event, if it is not nil, is given the outputs that the worker sends before its answer, in turn. It
	// may be called when Do has returned, if the context has ended. While it runs the worker waits.
	Event func(output []byte)
	// Done, if it is not nil, is told once that no worker has the call (any more).
	Done func()
}

// Answer is what the worker sent: the body of the answer, or a problem. Where a call failed, PID,
// Waited and Took say what there is to say.
type Answer struct {
	Body    []byte
	Meta    []byte     // a JSON object about the body, or nothing
	Files   []*os.File // that the worker has handed over, the caller's to close
	Problem bool       // Body is the worker's problem: {status, slug, detail, errors}
	PID     int        // of the worker; 0: none took the call
	ETag    string     // of the model that the worker has loaded, "" without one

	Waited time.Duration // for a free worker
	Took   time.Duration // from when the worker had the call and had answered the one before, to its answer, or its end
}

// Watch is told what happens to workers. Its functions may be nil; they are called from any
// goroutine and must not block.
type Watch struct {
	Imported func(seconds float64) // a worker has imported the function
	Loaded   func(seconds float64) // a worker has loaded the model
	Compiled func(Compiled)        // a worker's Python has compiled so much until it could answer
	Serving  func()                // a worker takes calls
	Ended    func(reason string)   // a worker has ended, one of Ends
}

func (w Watch) imported(seconds float64) {
	if w.Imported != nil {
		w.Imported(seconds)
	}
}

func (w Watch) loaded(seconds float64) {
	if w.Loaded != nil {
		w.Loaded(seconds)
	}
}

func (w Watch) compiled(c Compiled) {
	if w.Compiled != nil && c.Files > 0 {
		w.Compiled(c)
	}
}

func (w Watch) serving() {
	if w.Serving != nil {
		w.Serving()
	}
}

func (w Watch) ended(reason string) {
	if w.Ended != nil {
		w.Ended(reason)
	}
}

// times that only a test has otherwise.
type times struct {
	quick      time.Duration // how long a worker's last call may have taken, for others to be handed ahead
	supervisor time.Duration // how long a worker may be here before its supervisor, which has connected before it
	news       time.Duration // how long the supervisor may take to say how a worker ended, and to answer
}

var usual = times{quick: 2 * time.Millisecond, supervisor: time.Second, news: 2 * time.Second}

// Pool is the set of workers.
type Pool struct {
	listener *net.UnixListener
	queue    int64
	model    bool // the component has a model: workers serve only when they have loaded it
	times    times
	log      *slog.Logger
	watch    Watch

	calls   chan *task // without room: a call is given by its caller to a worker
	waiting atomic.Int64
	busy    atomic.Int64
	serving atomic.Int64 // workers that take calls

	reveals reveals

	telling    sync.Mutex // held while the supervisor is sent a frame
	mu         sync.Mutex
	supervisor net.Conn
	function   *Function
	current    *Model          // that workers are given; nil before it is there
	trial      *trial          // a newer one, while it is tried
	parked     []*worker       // ready but for the model
	loaded     bool            // at least one worker has loaded the model
	served     bool            // there was one
	failed     error           // no worker can come at present
	starved    map[int]bool    // processes that are being killed for want of memory
	workers    map[int]*worker // all that have greeted and not ended, by their number in the user's container
}

// maxWorkers bounds the workers; a component has a handful.
const maxWorkers = 256

// Listen makes the socket, which any uid may connect to (the user's container runs as whoever its
// image says; the folder is shared by the pod's two containers only), and begins to accept. queue
// is how many calls may wait; model says whether workers must load a model before they serve.
func Listen(socket string, queue int, model bool, watch Watch, log *slog.Logger) (*Pool, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listening for workers: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listening for workers: %w", err)
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		l.Close()
		return nil, fmt.Errorf("listening for workers: %w", err)
	}
	p := &Pool{listener: l, queue: int64(queue), model: model, times: usual, log: log, watch: watch,
		calls: make(chan *task), workers: map[int]*worker{}, starved: map[int]bool{}}
	go p.accept()
	return p, nil
}

// Close stops accepting; workers end when their connections do.
func (p *Pool) Close() error { return p.listener.Close() }

// Function is what was imported, nil while nothing is.
func (p *Pool) Function() *Function {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.function
}

// Loaded reports whether a worker has loaded the model.
func (p *Pool) Loaded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loaded
}

// State is what the pool does at the moment: calls that wait and how many may, workers that run a
// call and those that take calls at all.
type State struct{ Waiting, Queue, Busy, Serving int }

// Err says why no worker can come to the pool at present, nil while they can.
func (p *Pool) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// Replacing reports whether there were workers that took calls and there is none now, though none
// was to end for a newer model: then calls wait for the next one.
func (p *Pool) Replacing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.served && p.serving.Load() == 0 && p.trial == nil
}

// State of the pool.
func (p *Pool) State() State {
	return State{Waiting: int(p.waiting.Load()), Queue: int(p.queue), Busy: int(p.busy.Load()),
		Serving: int(p.serving.Load())}
}

// acceptAgain is the pause after a worker could not be accepted: descriptors are scarce, and come
// back.
const acceptAgain = 100 * time.Millisecond

func (p *Pool) accept() {
	for {
		conn, err := p.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		p.mu.Lock()
		p.failed = err
		p.mu.Unlock()
		if err != nil {
			p.log.Error("accepting a worker", "error", err)
			time.Sleep(acceptAgain)
			continue
		}
		go p.greet(conn)
	}
}

// greetingTime is how long a new connection may take to say what it is.
const greetingTime = 10 * time.Second

func (p *Pool) greet(conn *net.UnixConn) {
	handed := rights.NewReader(conn)
	w := &worker{conn: conn, handed: handed, in: bufio.NewReaderSize(handed, readBuffer), exit: make(chan exit, 1),
		gone: make(chan struct{}), retired: make(chan struct{})}
	_ = conn.SetReadDeadline(time.Now().Add(greetingTime))
	var g greeting
	if err := w.expect(frame.Hello, &g); err != nil {
		p.log.Warn("a connection did not greet", "error", err)
		conn.Close()
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	w.pid, w.spare = g.PID, g.Spare
	if g.Role == "supervisor" {
		p.supervise(w)
		return
	}
	if !p.admit(w) {
		p.log.Warn("a worker without a supervisor, or more than there may be", "worker", w.pid)
		conn.Close()
		return
	}
	var f Function
	if err := w.expect(frame.Ready, &f); err != nil {
		p.unfit(w, err)
		return
	}
	p.log.Info("function imported", "worker", w.pid, "function", f.Name, "seconds", f.ImportSeconds)
	p.watch.imported(f.ImportSeconds)
	p.watch.compiled(f.Compiled)
	p.mu.Lock()
	if w.dead.Load() {
		p.mu.Unlock()
		conn.Close()
		return
	}
	p.function = &f
	if p.model && p.current == nil {
		p.parked = append(p.parked, w)
		p.mu.Unlock()
		return
	}
	w.model = p.modelFor(w)
	p.mu.Unlock()
	p.serve(w)
}

// admit notes a worker that has greeted. One whose supervisor is gone is of no use: nobody would
// tell of its end.
func (p *Pool) admit(w *worker) bool {
	for deadline := time.Now().Add(p.times.supervisor); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		if p.supervisor != nil {
			_, known := p.workers[w.pid]
			fits := !known && len(p.workers) < maxWorkers
			if fits {
				p.workers[w.pid] = w
			}
			p.mu.Unlock()
			return fits
		}
		p.mu.Unlock()
		if time.Now().After(deadline) {
			return false
		}
	}
}

// serve makes a worker load the model, if there is one, and lets it work until it ends.
func (p *Pool) serve(w *worker) {
	if w.model != nil {
		path := w.model.Path
		var l struct {
			Load float64 `json:"load_seconds"`
			Compiled
		}
		payload, _ := json.Marshal(map[string]string{"path": path}) // strings always encode
		err := frame.Write(w.conn, frame.Frame{Type: frame.Model, Body: payload})
		if err == nil {
			err = w.expect(frame.Loaded, &l)
		}
		if err != nil {
			p.unfit(w, err)
			return
		}
		p.log.Info("model loaded", "worker", w.pid, "path", path, "etag", w.model.ETag, "seconds", l.Load)
		p.watch.loaded(l.Load)
		p.watch.compiled(l.Compiled)
	}
	p.mu.Lock()
	if w.dead.Load() {
		p.mu.Unlock()
		w.conn.Close()
		return
	}
	old, wanted := p.passed(w)
	if !wanted {
		p.mu.Unlock()
		p.kill(w, EndReplaced)
		return
	}
	p.loaded = p.loaded || w.model != nil
	p.serving.Add(1)
	w.serving = true
	p.served = true
	p.watch.serving()
	p.mu.Unlock()
	if old != nil {
		p.exchange(old, w)
	}
	p.work(w)
}

// Load gives the model to all workers, those that wait for it and those that come later. It returns
// when the first has loaded it, or when the context ends.
func (p *Pool) Load(ctx context.Context, m Model) error {
	p.mu.Lock()
	p.current = &m
	parked := p.parked
	p.parked = nil
	for _, w := range parked {
		w.model = &m
	}
	p.mu.Unlock()
	for _, w := range parked {
		go p.serve(w)
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !p.Loaded() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("loading the model: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// supervise keeps the connection to the supervisor and learns from it how workers end.
func (p *Pool) supervise(s *worker) {
	p.mu.Lock()
	before := p.supervisor
	p.mu.Unlock()
	if before != nil {
		p.orphan(before)
	}
	p.mu.Lock()
	p.supervisor = s.conn
	p.mu.Unlock()
	for {
		var e exit
		if err := p.news(s, &e); err != nil {
			if !errors.Is(err, io.EOF) {
				p.log.Warn("supervisor", "error", err)
			}
			p.orphan(s.conn)
			return
		}
		p.mu.Lock()
		w, ok := p.workers[e.PID]
		if p.starved[e.PID] {
			e.reason = EndOOM
			delete(p.starved, e.PID)
		}
		p.mu.Unlock()
		if ok {
			p.workerEnded(w, e)
		} else { // it did not come as far as greeting
			p.log.Warn("worker ended", "worker", e.PID, "how", e.describe(""))
			p.watch.ended(e.because(""))
			if e.Spare {
				p.fared(&LoadError{"its process " + e.describe("")})
			}
		}
	}
}

// orphan forgets all workers of a supervisor that is gone: its container ends with it, and another
// one will come.
func (p *Pool) orphan(supervisor net.Conn) {
	supervisor.Close()
	p.mu.Lock()
	if p.supervisor != supervisor {
		p.mu.Unlock()
		return // another one has come already
	}
	p.supervisor, p.function, p.loaded = nil, nil, false
	clear(p.starved)
	left := slices.Collect(maps.Values(p.workers))
	p.mu.Unlock()
	p.fared(errAlone)
	for _, w := range left {
		p.workerEnded(w, exit{reason: EndContainer})
	}
}

// drop ends a worker that did not come as far as taking calls.
func (p *Pool) drop(w *worker, why error) {
	p.log.Warn("worker lost", "worker", w.pid, "error", why)
	p.kill(w, EndProtocol)
}
