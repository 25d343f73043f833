package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"syscall"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
)

// Why a worker ended, as Watch.Ended is told.
const (
	EndDeadline  = "deadline"  // killed: its call took too long
	EndOOM       = "oom"       // killed by the kernel, or what stands for it, for want of memory
	EndSignal    = "signal"    // killed by another signal: a crash in native code, or from outside
	EndExit      = "exit"      // the user's code ended it
	EndProtocol  = "protocol"  // it closed its connection or sent what is no frame
	EndContainer = "container" // its supervisor is gone, and the container with it
	EndReplaced  = "replaced"  // another one serves a newer model
)

// Ends are all of them.
var Ends = []string{EndDeadline, EndOOM, EndSignal, EndExit, EndProtocol, EndContainer, EndReplaced}

// exit is the payload of frame.Exit.
type exit struct {
	PID    int  `json:"pid"`
	Code   int  `json:"code"`
	Signal int  `json:"signal"`
	OOM    bool `json:"oom"`   // killed while the container's count of kills for want of memory rose
	Spare  bool `json:"spare"` // it was one more than there should be
	Asked  bool `json:"asked"` // this server had it killed, or it found its connection closed; else it ended by itself

	reason string
}

// because says why a worker ended: for what this server killed it, if it did, else how it ended by
// itself.
func (e exit) because(killed string) string {
	switch {
	case e.reason != "":
		return e.reason
	case e.Asked && (killed == EndDeadline || killed == EndReplaced):
		return killed
	case e.Asked:
		return EndProtocol
	case e.OOM:
		return EndOOM
	case e.Signal != 0:
		return EndSignal
	default:
		return EndExit
	}
}

// describe is the predicate of a sentence about a worker's process.
func (e exit) describe(killed string) string {
	switch e.because(killed) {
	case EndContainer:
		return "ended with its container: it ran out of memory, or could not go on; the container's last state says which"
	case EndDeadline:
		return "was killed: it took too long"
	case EndReplaced:
		return "was replaced"
	case EndProtocol:
		return "lost its connection to the server: the function closed it or wrote to it"
	case EndOOM:
		return "was killed by signal 9 (out of memory: the container's memory limit was reached)"
	case EndSignal:
		return fmt.Sprintf("was killed by signal %d (%s)", e.Signal, syscall.Signal(e.Signal))
	default:
		return fmt.Sprintf("ended with exit code %d", e.Code)
	}
}

// Starve notes that a process is being killed for want of memory, by others than the kernel: its
// supervisor cannot know. It is called before the process can have ended.
func (p *Pool) Starve(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starved[pid] = true
}

// lastWords is how long the answer of a worker that has ended may still be on its way: it lies in
// the socket.
const lastWords = 200 * time.Millisecond

// workerEnded notes that a worker has ended. The connection alone would not tell: a process that
// the worker has forked may hold it open.
func (p *Pool) workerEnded(w *worker, e exit) {
	p.mu.Lock()
	if w.dead.Swap(true) {
		p.mu.Unlock()
		return
	}
	if p.workers[w.pid] == w {
		delete(p.workers, w.pid)
	}
	close(w.gone)
	if w.serving {
		w.serving = false
		p.serving.Add(-1)
	}
	if at := slices.Index(p.parked, w); at >= 0 {
		p.parked = slices.Delete(p.parked, at, at+1)
		w.conn.Close()
	}
	p.mu.Unlock()
	level := slog.LevelWarn
	if e.because(w.why()) == EndReplaced {
		level = slog.LevelInfo
	}
	p.log.Log(context.Background(), level, "worker ended", "worker", w.pid, "how", e.describe(w.why()))
	w.exit <- e
	_ = w.conn.SetReadDeadline(time.Now().Add(lastWords))
	p.watch.ended(e.because(w.why()))
}

// lost ends a worker whose call failed and says why it did.
func (p *Pool) lost(w *worker, call string, err error) error {
	if !w.dead.Load() && isTimeout(err) {
		p.log.Warn("function overran its time", "request_id", call, "worker", w.pid)
		p.kill(w, EndDeadline)
		return ErrDeadline
	}
	p.kill(w, EndProtocol)
	select {
	case e := <-w.exit:
		return &DiedError{How: e.describe(w.why())}
	case <-time.After(p.times.news):
		return &DiedError{How: "is gone: " + err.Error()}
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// kill has the supervisor end a worker, if it has not ended.
func (p *Pool) kill(w *worker, why string) {
	w.killed.Store(why)
	w.conn.Close()
	if w.dead.Load() {
		return
	}
	if err := p.tell(frame.Kill, map[string]any{"pid": w.pid, "why": why}); err != nil && !errors.Is(err, errAlone) {
		p.log.Error("killing a worker", "worker", w.pid, "error", err)
	}
}

// errAlone: there is no supervisor. Its container is being started again.
var errAlone = errors.New("the function's container is being started again")

// tell sends the supervisor a frame; what it says are numbers and strings, which always encode.
func (p *Pool) tell(t frame.Type, what map[string]any) error {
	p.mu.Lock()
	supervisor := p.supervisor
	p.mu.Unlock()
	if supervisor == nil {
		return errAlone
	}
	payload, _ := json.Marshal(what)
	p.telling.Lock()
	defer p.telling.Unlock()
	_ = supervisor.SetWriteDeadline(time.Now().Add(p.times.news))
	return frame.Write(supervisor, frame.Frame{Type: t, Body: payload})
}
