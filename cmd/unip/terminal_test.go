package main

import (
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/mattn/go-runewidth"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/functions/gateway/service/memory"
)

// terminal is a command at a terminal.
type terminal struct {
	*os.File
	cmd *exec.Cmd

	mu    sync.Mutex
	text  string
	ended error         // of reading
	more  chan struct{} // closed when there is more
}

// openTerminal runs unip at a terminal of a size.
func openTerminal(t *testing.T, columns, lines uint16, args ...string) *terminal {
	t.Helper()
	return openTerminalWith(t, nil, columns, lines, args...)
}

// openTerminalWith does so with more in its environment.
func openTerminalWith(t *testing.T, env []string, columns, lines uint16, args ...string) *terminal {
	t.Helper()
	x := &terminal{cmd: exec.CommandContext(t.Context(), "unip", args...), more: make(chan struct{})}
	x.cmd.Env = append(append(os.Environ(), "TERM=xterm-256color"), env...)
	var err error
	if x.File, err = pty.StartWithSize(x.cmd, &pty.Winsize{Cols: columns, Rows: lines}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	go func() {
		b := make([]byte, 4<<10)
		for {
			n, err := x.Read(b)
			x.mu.Lock()
			x.text += string(b[:n])
			x.ended = err
			close(x.more)
			x.more = make(chan struct{})
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return x
}

// until waits until what has been written since the last call has a text, and gives it.
func (x *terminal) until(t *testing.T, want string) string {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		x.mu.Lock()
		text, ended, more := x.text, x.ended, x.more
		if i := strings.Index(text, want); i >= 0 {
			x.text = text[i+len(want):]
			x.mu.Unlock()
			return text[:i+len(want)]
		}
		x.mu.Unlock()
		if ended != nil {
			t.Fatalf("%q has not come before the end (%v): %q", want, ended, text)
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("%q has not come within 30 s: %q", want, text)
		}
	}
}

// exit waits for the command's end, and gives its code and the rest that it has written.
func (x *terminal) exit(t *testing.T) (code int, rest string) {
	t.Helper()
	var exit *exec.ExitError
	if err := x.cmd.Wait(); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	for {
		x.mu.Lock()
		text, ended, more := x.text, x.ended, x.more
		x.mu.Unlock()
		if ended != nil {
			return code, text
		}
		<-more
	}
}

// What a live view writes.
const (
	otherScreen, firstScreen = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
	home, eraseBelow         = "\x1b[H", "\x1b[J"
)

// frame takes a drawing apart. Each begins at the top left and erases what was there before: so, if no
// line is longer than the window and there are no more of them, it is all that the window shows.
func frame(t *testing.T, drawn string, columns, lines int) []string {
	t.Helper()
	_, drawn, ok := strings.Cut(drawn, home)
	if i := strings.LastIndex(drawn, home); i >= 0 {
		drawn = drawn[i+len(home):]
	}
	if drawn, _, _ = strings.Cut(drawn, eraseBelow); !ok {
		t.Fatalf("no drawing: %q", drawn)
	}
	all := strings.Split(drawn, "\r\n")
	if len(all) > lines {
		t.Errorf("%d lines in a window of %d: %q", len(all), lines, drawn)
	}
	for i, line := range all {
		text, erased := strings.CutSuffix(line, "\x1b[K")
		if n := runewidth.StringWidth(text); n > columns || !erased || strings.Contains(text, "\x1b") {
			t.Errorf("%q has %d columns, and the window %d", line, n, columns)
		}
		all[i] = text
	}
	return all
}

var trainPipeline = runtimev1.Pipeline{
	ObjectMeta: metav1.ObjectMeta{Name: "train"},
	Spec: runtimev1.PipelineSpec{
		Variables: []runtimev1.Variable{{Name: "table"}, {Name: "model"}},
		Stages: []runtimev1.Stage{{Name: "fit", Inputs: []string{"table"}, Outputs: []string{"model"}},
			{Name: "report", Inputs: []string{"model"}}},
	},
}

// startRun is a run of stages that are in the first attempt.
func startRun(t *testing.T, store *memory.Store, id string, stages ...string) {
	t.Helper()
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: id}}
	run.Spec.User, run.Spec.Pipeline, run.Status.State = "anonymous", "train", runtimev1.Running
	run.Status.StartTime = new(metav1.Now())
	for _, s := range stages {
		run.Status.Stages = append(run.Status.Stages, runtimev1.StageStatus{
			Name: s, State: runtimev1.Running, Attempt: 1, StartTime: new(metav1.NowMicro())})
	}
	if err := store.Create(t.Context(), run); err != nil {
		t.Fatal(err)
	}
}

// end ends a run and all its stages.
func end(run *runtimev1.PipelineRun) {
	run.Status.State, run.Status.CompletionTime = runtimev1.Succeeded, new(metav1.Now())
	for i := range run.Status.Stages {
		run.Status.Stages[i].State = runtimev1.Succeeded
	}
}

// A live view fits into a narrow window and follows its size; nothing of it is left when it ends, but
// the last state, whole.
func TestLiveViewInNarrowWindows(t *testing.T) {
	t.Parallel()
	store, url := openModule(t)
	startRun(t, store, "train-1", "fit", "report")
	long := "epoch 1 of 300, " + strings.Repeat("потери ", 20) + "and the end"
	store.Update("train-1", func(run *runtimev1.PipelineRun) { run.Status.Stages[0].Message = long })

	x := openTerminal(t, 40, 10, "runs", "train-1", "-f", "--url", url)
	x.until(t, otherScreen)
	drawn := frame(t, x.until(t, eraseBelow), 40, 10)
	if len(drawn) != 3 || !strings.HasPrefix(drawn[0], "train-1") || !strings.HasSuffix(drawn[1], "…") {
		t.Errorf("%q", drawn)
	}
	for _, window := range []pty.Winsize{{Cols: 24, Rows: 2}, {Cols: 300, Rows: 10}} {
		if err := pty.Setsize(x.File, &window); err != nil {
			t.Fatal(err)
		}
		x.until(t, eraseBelow) // this one may have begun before
		drawn = frame(t, x.until(t, eraseBelow), int(window.Cols), int(window.Rows))
		switch whole := strings.HasSuffix(drawn[1], long); {
		case window.Rows == 2 && (whole || drawn[1] != "… 2 lines more"):
			t.Errorf("in 2 lines: %q", drawn)
		case window.Rows == 10 && !whole:
			t.Errorf("in 300 columns: %q", drawn)
		}
	}
	store.Update("train-1", end)
	x.until(t, firstScreen)
	code, last := x.exit(t)
	if code != 0 || strings.Contains(last, "\x1b") || strings.Count(last, "train-1") != 1 ||
		!strings.Contains(last, "Succeeded") {
		t.Errorf("exit code %d: %q", code, last)
	}
}

// Ctrl-C ends a command without a word about contexts; of a run it says that it goes on.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	store, url := openModule(t)
	startRun(t, store, "train-1", "fit")
	for name, c := range map[string]struct {
		args []string
		wait string
		want string
	}{
		"a run":     {[]string{"runs", "train-1", "-f"}, eraseBelow, "run train-1 goes on: `unip runs train-1 -f` shows it"},
		"the list":  {[]string{"runs", "-f"}, eraseBelow, "RUN  "},
		"a log":     {[]string{"logs", "train-1", "-f"}, "fit | hello", ""},
		"the start": {[]string{"run", "train", "--wait"}, eraseBelow, "goes on"},
		"an answer": {[]string{"predict", "hangs"}, "waiting for the component", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store.Write("train-1", "fit", 1, "", false)
			x := openTerminal(t, 80, 24, append(c.args, "--url", url)...)
			if name == "a log" {
				store.Write("train-1", "fit", 1, "hello\n", false)
			}
			x.until(t, c.wait)
			if _, err := io.WriteString(x, "\x03"); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(c.wait, eraseBelow) {
				x.until(t, firstScreen)
			}
			code, rest := x.exit(t)
			if code != 130 || strings.Contains(rest, "context") || !strings.Contains(rest, c.want) {
				t.Errorf("exit code %d: %q", code, rest)
			}
		})
	}
}

// The list of runs is drawn anew when it changes.
func TestRunsAreFollowed(t *testing.T) {
	t.Parallel()
	store, url := openModule(t)
	startRun(t, store, "train-1")
	x := openTerminal(t, 60, 10, "runs", "-f", "--url", url)
	x.until(t, "train-1")
	startRun(t, store, "train-2")
	x.until(t, "train-2")
	store.Update("train-1", end)
	x.until(t, "Succeeded")
	x.until(t, eraseBelow)
	if drawn := frame(t, x.until(t, eraseBelow), 60, 10); len(drawn) != 3 {
		t.Errorf("%q", drawn)
	}
}

// openModule is a module whose runs the test makes, and its URL.
func openModule(t *testing.T) (*memory.Store, string) {
	t.Helper()
	store := memory.New(trainPipeline)
	srv := httptest.NewServer(moduleOf(t, store))
	t.Cleanup(srv.Close)
	return store, srv.URL + "/ns"
}
