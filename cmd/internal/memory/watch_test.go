//go:build linux

package memory

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const mib = 1 << 20

// program runs Python until the test ends.
type program struct {
	*exec.Cmd
	lines *bufio.Scanner
	in    io.WriteCloser
}

func run(t *testing.T, source string) program {
	t.Helper()
	p := program{Cmd: exec.Command("python3", "-c", source)}
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.in, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = syscall.Kill(-p.Process.Pid, syscall.SIGKILL) // most often it has ended
		_ = p.Wait()
	})
	return p
}

// line is the next that it prints.
func (p program) line(t *testing.T) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("the program prints no more: %v", p.lines.Err())
	}
	return p.lines.Text()
}

// watch runs a watch, and returns what it tells and how it ends.
func watch(t *testing.T, w Watch) (<-chan Over, <-chan error) {
	t.Helper()
	over, done := make(chan Over, 10), make(chan error, 1)
	w.Over = func(o Over) { over <- o }
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go func() { done <- w.Run(ctx) }()
	return over, done
}

// prelude of the programs: grow holds more and more, up to 4 GiB.
const prelude = `
import os, sys, time

def grow(limit=4 << 30):
    held = []
    while len(held) << 22 < limit:
        held.append(b"x" * (1 << 22))
    return held

def child(what):
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        what()
        os._exit(7)
    return pid

def say(*what):
    print(*what, flush=True)
`

// A child that grows without end is ended soon, with all that came of it, and nobody else is.
func TestAHogIsEnded(t *testing.T) {
	t.Parallel()
	for name, hog := range map[string]string{
		"the child": `
def hog():
    grow()`,
		"what it has started": `
def hog():
    if os.fork():
        time.sleep(1000)
    grow()`,
		"what it has left behind": `
def hog():
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.1)
            grow()
        os._exit(0)
    time.sleep(1000)`,
		"many a little": `
def hog():
    for _ in range(15):
        if os.fork() == 0:
            held = grow(32 << 20)
            time.sleep(1000)
    time.sleep(1000)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := run(t, prelude+hog+`
quiet = child(lambda: time.sleep(1000))
sys.stdin.readline()
greedy = child(hog)
say(greedy)
pid, status = os.wait()
say("hog" if pid == greedy else pid, os.WTERMSIG(status))
say(os.waitpid(quiet, os.WNOHANG)[0])
sys.stdin.readline()
os.kill(quiet, 9)
`)
			over, done := watch(t, Watch{Root: p.Process.Pid, Limit: 256 * mib, Parts: true})
			fmt.Fprintln(p.in)
			greedy := p.line(t)
			o := <-over
			if fmt.Sprint(o.PID) != greedy {
				t.Errorf("%d is ended, the hog is %s", o.PID, greedy)
			}
			if o.Held <= 256*mib || o.Held > 2048*mib {
				t.Errorf("%d MiB were held", o.Held/mib)
			}
			if got := p.line(t); got != "hog 9" {
				t.Errorf("there ended %q, want the hog by signal 9", got)
			}
			if got := p.line(t); got != "0" {
				t.Errorf("the quiet child ended as well: %s", got)
			}
			fmt.Fprintln(p.in)
			if err := p.Wait(); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if len(over) > 0 {
				t.Errorf("%+v is ended too", <-over)
			}
		})
	}
}

// Where no part may be ended alone, the program ends as a whole.
func TestAProgramIsEnded(t *testing.T) {
	t.Parallel()
	p := run(t, prelude+`
child(lambda: time.sleep(1000))
sys.stdin.readline()
grow()
`)
	over, done := watch(t, Watch{Root: p.Process.Pid, Limit: 128 * mib})
	fmt.Fprintln(p.in)
	if o := <-over; o.PID != p.Process.Pid {
		t.Errorf("%+v is ended, want %d", o, p.Process.Pid)
	}
	for p.lines.Scan() { // the output ends when the child has ended too
		t.Errorf("it prints %q", p.lines.Text())
	}
	if err := p.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("it ended with %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What processes share counts once, pages of files do not count at all, and what is reserved and
// never touched is nobody's: a program below its limit is not touched.
func TestAProgramBelowItsLimit(t *testing.T) {
	t.Parallel()
	p := run(t, prelude+`
import mmap, tempfile
with tempfile.TemporaryFile() as f:
    f.write(b"x" * (128 << 20))
    f.flush()
    mapped = mmap.mmap(f.fileno(), 128 << 20, prot=mmap.PROT_READ)
    sum(mapped[i] for i in range(0, len(mapped), 4096))
reserved = mmap.mmap(-1, 8 << 30)
held = grow(64 << 20)
children = [child(lambda: sys.stdin.readline()) for _ in range(4)]
say("ready")
for pid in children:
    say(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))
`)
	if got := p.line(t); got != "ready" {
		t.Fatal(got)
	}
	looks := make(chan int64) // read to the end
	over, done := watch(t, Watch{Root: p.Process.Pid, Limit: 128 * mib, looked: func(held int64) { looks <- held }})
	for range 20 {
		select {
		case held := <-looks:
			if held < 64*mib || held > 128*mib {
				t.Errorf("%d MiB are held, want a little more than 64", held/mib)
			}
		case o := <-over:
			t.Fatalf("%+v is ended", o)
		}
	}
	go func() {
		for range looks { // until the program has ended
		}
	}()
	p.in.Close()
	for range 4 {
		if got := p.line(t); got != "7" {
			t.Errorf("a child ended with %s", got)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	close(looks)
}

// The pause between two looks: what is left below the limit cannot be filled meanwhile, looking is
// cheap, and a program that holds little is looked at rarely.
func TestPause(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		left       int64
		took, want time.Duration
	}{
		{1 << 40, 0, late},
		{400 * mib, time.Millisecond, 97656250},
		{0, 0, soon},
		{-mib, time.Millisecond, 20 * time.Millisecond},
		{1 << 40, time.Second, 20 * time.Second},
	} {
		if got := pause(x.left, x.took); got != x.want {
			t.Errorf("%d bytes left, a look takes %s: %s, want %s", x.left, x.took, got, x.want)
		}
	}
}

// Both ways of looking see the same program; ps is there on every Unix.
func TestSystems(t *testing.T) {
	t.Parallel()
	p := run(t, prelude+`
held = grow(64 << 20)
pid = child(lambda: sys.stdin.readline())
say(pid)
os.waitpid(pid, 0)
`)
	child := p.line(t)
	for name, s := range map[string]system{"proc": proc{}, "ps": ps{}} {
		all, err := s.processes()
		if err != nil {
			t.Fatal(name, err)
		}
		f := familyOf(p.Process.Pid, all)
		if got := fmt.Sprint(f.alive, f.children()); got != "true ["+child+"]" {
			t.Errorf("%s: %s, want the child %s", name, got, child)
		}
		if held := s.held([]int{p.Process.Pid}, false); held < 64*mib || held > 128*mib {
			t.Errorf("%s: %d MiB, want a little more than 64", name, held/mib)
		}
		if held := s.held([]int{1 << 30}, false); held != 0 {
			t.Errorf("%s: a process that is not there holds %d", name, held)
		}
	}
}

// The kernel ends the program before others, and what it starts as well.
func TestPrefer(t *testing.T) {
	t.Parallel()
	p := run(t, prelude+`
sys.stdin.readline()
def tell():
    say(open("/proc/self/oom_score_adj").read().strip())
os.waitpid(child(tell), 0)
`)
	if err := Prefer(p.Process.Pid); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(p.in)
	if got := p.line(t); got != "1000" {
		t.Errorf("the wish is %s", got)
	}
	if err := Prefer(1 << 30); err != nil {
		t.Errorf("a process that has ended: %v", err)
	}
}
