package pool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
)

// pod is a pool and the test in the role of the processes that come to it.
type pod struct {
	*testing.T
	*Pool
	socket     string
	supervisor net.Conn
	done       chan string // "id: answer" or "id: error" of calls
	calls      sync.WaitGroup
}

func newPod(t *testing.T) *pod {
	t.Helper()
	p := &pod{T: t, socket: filepath.Join(t.TempDir(), "s"), done: make(chan string, 100)}
	t.Cleanup(p.calls.Wait) // after all else has ended
	var err error
	if p.Pool, err = Listen(p.socket, 100, false, Watch{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	p.times.quick = time.Hour
	p.supervisor = p.connect(frame.Frame{Type: frame.Hello, Body: []byte(`{"role":"supervisor","pid":1}`)})
	return p
}

func (p *pod) connect(frames ...frame.Frame) net.Conn {
	p.Helper()
	conn, err := net.Dial("unix", p.socket)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	for _, f := range frames {
		if err := frame.Write(conn, f); err != nil {
			p.Fatal(err)
		}
	}
	return conn
}

// worker comes, and takes calls when it returns.
func (p *pod) worker(pid int) net.Conn {
	p.Helper()
	serving := p.State().Serving
	conn := p.connect(frame.Frame{Type: frame.Hello, Body: fmt.Appendf(nil, `{"role":"worker","pid":%d}`, pid)},
		frame.Frame{Type: frame.Ready, Body: []byte(`{"name":"f"}`)})
	p.await("the worker", func() bool { return p.State().Serving == serving+1 })
	return conn
}

func (p *pod) await(what string, holds func() bool) {
	p.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("%s does not come: %+v", what, p.State())
		}
	}
}

// call calls, and says in done what came of it.
func (p *pod) call(ctx context.Context, c Call, limit time.Duration) {
	p.calls.Go(func() {
		a, err := p.Do(ctx, c, limit)
		var died *DiedError
		switch {
		case errors.As(err, &died):
			p.done <- c.ID + ": died"
		case err != nil:
			// at the test's end a call may come back from a worker that it was never sent to
			if a.PID == 0 && a.Waited == 0 && p.Context().Err() == nil {
				p.Errorf("%s was begun by nobody and has not waited", c.ID)
			}
			p.done <- c.ID + ": " + err.Error()
		default:
			p.done <- c.ID + ": " + string(a.Body)
		}
	})
}

// wait makes calls wait, one after the other.
func (p *pod) wait(calls ...Call) {
	p.Helper()
	for _, c := range calls {
		before := p.State().Waiting
		p.call(p.Context(), c, time.Minute)
		p.await(c.ID+" in the queue", func() bool { return p.State().Waiting == before+1 })
	}
}

// gets reads calls: those with these ids come, and nothing else.
func (p *pod) gets(worker net.Conn, ids ...string) {
	p.Helper()
	for _, id := range ids {
		f, err := frame.Read(worker)
		if err != nil || f.Type != frame.Call || string(f.Meta) != id {
			p.Fatalf("frame of type %d with %q, error %v, want call %s", f.Type, f.Meta, err, id)
		}
	}
	_ = worker.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if f, err := frame.Read(worker); !isTimeout(err) {
		p.Fatalf("after %q another frame has come: %q, error %v", ids, f.Meta, err)
	}
	_ = worker.SetReadDeadline(time.Now().Add(20 * time.Second))
}

// answers sends an answer to each of these calls.
func (p *pod) answers(worker net.Conn, ids ...string) {
	p.Helper()
	for _, id := range ids {
		if err := frame.Write(worker, frame.Frame{Type: frame.Answer, Body: []byte("of " + id)}); err != nil {
			p.Fatal(err)
		}
	}
}

// came holds what became of as many calls against what is wanted, in any order.
func (p *pod) came(want ...string) {
	p.Helper()
	var got []string
	for range want {
		select {
		case s := <-p.done:
			got = append(got, s)
		case <-time.After(20 * time.Second):
			p.Fatalf("%q, want %q", got, want)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		p.Errorf("%q, want %q", got, want)
	}
}

// dies ends a worker, as its supervisor tells it.
func (p *pod) dies(worker net.Conn, pid int) {
	p.Helper()
	worker.Close()
	news, _ := json.Marshal(exit{PID: pid, Code: 3})
	if err := frame.Write(p.supervisor, frame.Frame{Type: frame.Exit, Body: news}); err != nil {
		p.Fatal(err)
	}
	p.await("the news", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.workers[pid] == nil
	})
}

// killed is dies, on the server's order.
func (p *pod) killed(worker net.Conn, pid int) {
	p.Helper()
	if f, err := frame.Read(p.supervisor); err != nil || f.Type != frame.Kill {
		p.Fatalf("frame of type %d, error %v, want the order to kill", f.Type, err)
	}
	p.dies(worker, pid)
}

// busy has a worker in the middle of a short call behind which others wait: it has been asked for
// 0, and has those of ahead in its socket.
func (p *pod) busy(worker net.Conn, calls ...Call) {
	p.Helper()
	p.call(p.Context(), Call{ID: "first"}, time.Minute)
	p.gets(worker, "first")
	p.wait(append([]Call{{ID: "0"}}, calls...)...)
	p.answers(worker, "first")
	p.came("first: of first")
}

func ids(ids string) []Call {
	var calls []Call
	for _, id := range strings.Fields(ids) {
		calls = append(calls, Call{ID: id})
	}
	return calls
}

// The only worker gets calls ahead of their time, up to a number, and answers them in their order;
// they wait until it begins them.
func TestCallsAreHandedAhead(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	w := p.worker(7)
	p.busy(w, ids("1 2 3 4 5 6")...)
	p.gets(w, "0", "1", "2", "3", "4")
	if s := p.State(); s.Waiting != 6 || s.Busy != 1 {
		t.Errorf("%+v, want 6 that wait and 1 that runs", s)
	}
	p.answers(w, "0", "1")
	p.gets(w, "5", "6")
	p.came("0: of 0", "1: of 1")
	if s := p.State(); s.Waiting != 4 {
		t.Errorf("%+v, want 4 that wait", s)
	}
	p.answers(w, "2", "3", "4", "5", "6")
	p.came("2: of 2", "3: of 3", "4: of 4", "5: of 5", "6: of 6")
	if s := p.State(); s.Waiting != 0 || s.Busy != 0 {
		t.Errorf("%+v in the end", s)
	}
}

// Where there is another worker that could run a call sooner, or where calls are long, none is
// handed ahead.
func TestCallsAreNotHandedAhead(t *testing.T) {
	t.Parallel()
	t.Run("two workers", func(t *testing.T) {
		t.Parallel()
		p := newPod(t)
		w := p.worker(7)
		other := p.worker(8)
		p.call(t.Context(), Call{ID: "a"}, time.Minute)
		p.call(t.Context(), Call{ID: "b"}, time.Minute)
		p.await("both workers' calls", func() bool { return p.State().Busy == 2 })
		p.wait(ids("1 2")...)
		for _, w := range []net.Conn{w, other} {
			f, err := frame.Read(w)
			if err != nil {
				t.Fatal(err)
			}
			p.gets(w) // nothing more
			p.answers(w, string(f.Meta))
		}
		p.came("a: of a", "b: of b")
	})
	t.Run("long calls", func(t *testing.T) {
		t.Parallel()
		p := newPod(t)
		p.times.quick = time.Nanosecond
		w := p.worker(7)
		p.busy(w, ids("1 2")...)
		p.gets(w, "0")
	})
}

// Large calls and such as may return files are sent in their turn.
func TestSomeCallsAreSentInTheirTurn(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	w := p.worker(7)
	p.busy(w, Call{ID: "1"}, Call{ID: "2", Returns: true}, Call{ID: "3"},
		Call{ID: "4", Body: make([]byte, aheadSize+1)}, Call{ID: "5"})
	for _, sent := range []string{"0 1", "", "2", "3", "4 5", ""} {
		p.gets(w, strings.Fields(sent)...)
		p.answers(w, "the next")
	}
	p.came("0: of the next", "1: of the next", "2: of the next", "3: of the next", "4: of the next", "5: of the next")
}

// A worker that ends takes only the call with it that it ran; those behind it are run by another
// one, once.
func TestCallsBehindADeath(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		answered bool
		read     int
		dead     string
		left     string
	}{
		"in the first, nothing more read":   {false, 1, "0: died", "1 2 3"},
		"in the first, all read":            {false, 4, "0: died", "1 2 3"},
		"in the second":                     {true, 4, "1: died", "2 3"},
		"before it has read the second one": {true, 1, "1: died", "2 3"}, // which cannot be told from the one before
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPod(t)
			w := p.worker(7)
			p.busy(w, ids("1 2 3")...)
			for range x.read {
				if _, err := frame.Read(w); err != nil {
					t.Fatal(err)
				}
			}
			if x.answered {
				p.answers(w, "0")
				p.came("0: of 0")
			}
			p.dies(w, 7)
			p.came(x.dead)
			left := strings.Fields(x.left)
			p.await("the others' wait", func() bool { return p.State() == State{Waiting: len(left), Queue: 100} })
			next := p.worker(8)
			var want []string
			for range left {
				f, err := frame.Read(next)
				if err != nil || !slices.Contains(left, string(f.Meta)) {
					t.Fatalf("call %q, error %v", f.Meta, err)
				}
				want = append(want, string(f.Meta)+": of "+string(f.Meta))
				p.answers(next, string(f.Meta))
			}
			slices.Sort(want)
			p.came(want...)
		})
	}
}

// A call that overruns its time does not take those behind it with it, whose own time has not
// begun.
func TestCallsBehindADeadline(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	w := p.worker(7)
	p.call(t.Context(), Call{ID: "first"}, time.Minute)
	p.gets(w, "first")
	p.call(t.Context(), Call{ID: "0"}, 50*time.Millisecond)
	p.await("0 in the queue", func() bool { return p.State().Waiting == 1 })
	p.wait(ids("1 2")...)
	p.answers(w, "first")
	p.came("0: "+ErrDeadline.Error(), "first: of first")
	p.killed(w, 7)
	next := p.worker(8)
	for range 2 {
		f, err := frame.Read(next)
		if err != nil {
			t.Fatal(err)
		}
		p.answers(next, string(f.Meta))
	}
	p.came("1: of 1", "2: of 2")
}

// A caller who leaves is told so at once; the answer that comes for nobody is not another one's.
func TestCallersLeaveTheLine(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	w := p.worker(7)
	gone := make(chan string, 3)
	leaving := func(id string) Call { return Call{ID: id, Done: func() { gone <- id }} }
	p.call(t.Context(), Call{ID: "first"}, time.Minute)
	p.gets(w, "first")
	ctx, leave := context.WithCancel(t.Context())
	for _, id := range []string{"0", "1", "2"} {
		c := leaving(id)
		c.Returns = id == "2" // not sent before its turn
		p.call(ctx, c, time.Minute)
		p.await(id+" in the queue", func() bool { return p.State().Waiting == int(id[0]-'0')+1 })
	}
	p.wait(Call{ID: "3"})
	p.answers(w, "first")
	p.gets(w, "0", "1")
	leave()
	p.came("0: context canceled", "1: context canceled", "2: context canceled", "first: of first")
	p.answers(w, "0", "1")
	p.gets(w, "3") // 2 has left before its turn, and the function does not hear of it
	p.answers(w, "3")
	p.came("3: of 3")
	for _, id := range []string{"0", "1", "2"} {
		if got := <-gone; got != id {
			t.Errorf("%s is over, want %s", got, id)
		}
	}
}

// What a worker says at once with its answer is nobody's answer.
func TestAnAnswerTooMany(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	w := p.worker(7)
	p.call(t.Context(), Call{ID: "1"}, time.Minute)
	p.gets(w, "1")
	var both bytes.Buffer
	for _, answer := range []string{"of 1", "of nothing"} {
		_ = frame.Write(&both, frame.Frame{Type: frame.Answer, Body: []byte(answer)}) // a buffer takes everything
	}
	if _, err := w.Write(both.Bytes()); err != nil {
		t.Fatal(err)
	}
	p.came("1: of 1")
	p.call(t.Context(), Call{ID: "2"}, time.Minute)
	p.killed(w, 7)
	next := p.worker(8)
	p.gets(next, "2")
	p.answers(next, "2")
	p.came("2: of 2")
}
