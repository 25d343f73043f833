package pool

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
)

// FuzzHostileWorker gives a server a worker that says whatever it likes: after its greeting, and
// instead of an answer. Nothing panics; a call ends in time, with an answer or with an error of Do.
// What is covered depends on time here: fuzz it with -fuzzminimizetime=1x.
func FuzzHostileWorker(f *testing.F) {
	written := func(frames ...frame.Frame) []byte {
		var b bytes.Buffer
		for _, fr := range frames {
			if err := frame.Write(&b, fr); err != nil {
				f.Fatal(err)
			}
		}
		return b.Bytes()
	}
	hello := frame.Frame{Type: frame.Hello, Body: []byte(`{"role":"worker","pid":7}`)}
	supervisor := frame.Frame{Type: frame.Hello, Body: []byte(`{"role":"supervisor","pid":1}`)}
	ready := frame.Frame{Type: frame.Ready, Body: []byte(`{"name":"f"}`)}
	f.Add(written(supervisor), written(hello, ready, frame.Frame{Type: frame.Answer, Body: []byte("{}")}))
	f.Add(written(supervisor, frame.Frame{Type: frame.Exit, Body: []byte(`{"pid":7,"code":1}`)}), written(hello, ready))
	f.Add(written(supervisor), written(hello, ready, frame.Frame{Type: frame.Problem, Body: []byte("{")}))
	f.Add(written(supervisor), written(hello, ready, ready))
	f.Add(written(supervisor), written(hello, frame.Frame{Type: frame.Failed, Body: []byte("no JSON")}))
	f.Add(written(supervisor, supervisor), written(supervisor, hello))
	f.Add([]byte{}, []byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		socket := filepath.Join(t.TempDir(), "s")
		p, err := Listen(socket, 1, false, Watch{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		p.times.news, p.times.supervisor = time.Millisecond, 10*time.Millisecond
		for _, bytes := range [][]byte{first, second} {
			conn, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = conn.Write(bytes) // the server may have had enough
		}
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer stop()
		a, err := p.Do(ctx, Call{ID: "id", Body: []byte("{}")}, 10*time.Millisecond)
		var died *DiedError
		switch {
		case err == nil:
			if len(a.Body) > len(second)+len(first) {
				t.Errorf("an answer of %d bytes out of nothing", len(a.Body))
			}
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, ErrDeadline), errors.As(err, &died):
		default:
			t.Errorf("unknown error %v", err)
		}
		// A call that looks for another worker gives up its place when its context has ended, a
		// moment after Do.
		for end := time.Now().Add(time.Second); p.State().Waiting != 0; runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatalf("%d calls wait after the last", p.State().Waiting)
			}
		}
	})
}

func TestDescriptionsOfEnds(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		e            exit
		killed       string
		reason, says string
	}{
		"deadline":           {exit{Signal: 9, Asked: true}, EndDeadline, EndDeadline, "was killed: it took too long"},
		"before it was told": {exit{Code: 3}, EndDeadline, EndExit, "ended with exit code 3"},
		"protocol": {exit{Signal: 9, Asked: true}, EndProtocol, EndProtocol,
			"lost its connection to the server: the function closed it or wrote to it"},
		"memory": {exit{Signal: 9, OOM: true}, EndProtocol, EndOOM,
			"was killed by signal 9 (out of memory: the container's memory limit was reached)"},
		"signal":         {exit{Signal: 11}, "", EndSignal, "was killed by signal 11 (segmentation fault)"},
		"unknown signal": {exit{Signal: 99}, "", EndSignal, "was killed by signal 99 (signal 99)"},
		"container": {exit{reason: EndContainer}, "", EndContainer,
			"ended with its container: it ran out of memory, or could not go on; the container's last state says which"},
	} {
		if got := x.e.because(x.killed); got != x.reason {
			t.Errorf("%s: %s", name, got)
		}
		if got := x.e.describe(x.killed); got != x.says {
			t.Errorf("%s: %s", name, got)
		}
	}
}
