package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// guardName is the name by which the program knows that it is the guard.
const guardName = "unip-dev-guard"

// Guard is the first thing that a program with an engine calls. It returns, unless this process was
// started by an engine to outlive it: such a one ends what a killed engine has left.
func Guard() {
	if os.Args[0] != guardName || len(os.Args) != 2 {
		return
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	_, err := io.Copy(io.Discard, os.Stdin) // which ends with the engine
	if err = errors.Join(err, endMarked(os.Args[1], func(int) {})); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// startGuard starts the guard; it ends after end was called, or when this process dies.
func (e *Engine) startGuard() (end func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the guard of processes: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("the guard of processes: %w", err)
	}
	cmd := exec.Cmd{Path: program, Args: []string{guardName, e.marks()}, Stdin: r,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	err = errors.Join(cmd.Start(), r.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the guard of processes: %w", err), w.Close())
	}
	return func() error { return errors.Join(w.Close(), cmd.Wait()) }, nil
}

// marks begins the marks of all processes of the engine's folder.
func (e *Engine) marks() string {
	return markEnv + "=" + filepath.Join(e.Dir, "attempts") + string(filepath.Separator)
}

// endLeftovers ends processes that have outlived the engine that made them.
func (e *Engine) endLeftovers() error {
	return endMarked(e.marks(), func(pid int) {
		e.Logger.Info("a process that outlived unip dev is ended", "pid", pid)
	})
}

// endMarked ends the processes whose mark begins so.
func endMarked(begin string, tell func(pid int)) error {
	const tries = 100
	for range tries {
		left := marked(func(mark string) bool { return strings.HasPrefix(mark, begin) })
		if len(left) == 0 {
			return nil
		}
		for _, pid := range left {
			tell(pid)
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
		time.Sleep(stopWithin / tries)
	}
	return errors.New("processes of stages that outlived unip dev cannot be ended")
}
