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
	// One look that finds nobody must do: the next engine of this folder may have begun, whose processes
	// have such marks, too. What is left it ends itself, before it starts any.
	if !endMarked(begins(os.Args[1]), func(int) {}, 1) || err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// guardAgain is the pause before another guard takes the place of one that was killed.
const guardAgain = time.Second

// startGuard starts the guard; it ends after end was called, or when this process dies. Another one
// follows one that somebody has killed.
func (e *Engine) startGuard() (end func() error, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("the guard of processes: %w", err)
	}
	cmd, err := e.guard(r)
	if err != nil {
		return nil, errors.Join(err, r.Close(), w.Close())
	}
	ending, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			err := cmd.Wait()
			select {
			case <-ending:
				ended <- errors.Join(err, r.Close())
				return
			case <-time.After(guardAgain):
			}
			e.Logger.Warn("the guard of processes has ended, another one starts", "error", err)
			if cmd, err = e.guard(r); err != nil {
				e.Logger.Warn("processes of stages may outlive a kill of unip dev", "error", err)
				<-ending
				ended <- r.Close()
				return
			}
		}
	}()
	return func() error {
		close(ending)
		return errors.Join(w.Close(), <-ended)
	}, nil
}

// guard is a process that ends with the other end of a pipe.
func (e *Engine) guard(r *os.File) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("the guard of processes: %w", err)
	}
	cmd := &exec.Cmd{Path: program, Args: []string{guardName, e.marks()}, Stdin: r,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("the guard of processes: %w", err)
	}
	return cmd, nil
}

// Mark is a variable of the environment by which processes that are no stage's are found, and ended
// when the engine has been killed.
func (e *Engine) Mark(name string) string { return e.marks() + filepath.FromSlash(name) }

// EndMarked ends the processes of a mark.
func EndMarked(mark string) {
	endMarked(func(m string) bool { return m == mark }, func(int) {}, thorough)
}

// marks begins the marks of all processes of the engine's folder.
func (e *Engine) marks() string { return markEnv + "=" + e.Dir + string(filepath.Separator) }

// endLeftovers ends processes that have outlived the engine that made them.
func (e *Engine) endLeftovers() error {
	if !endMarked(begins(e.marks()), func(pid int) {
		e.Logger.Info("a process that outlived unip dev is ended", "pid", pid)
	}, thorough) {
		return errors.New("processes of stages that outlived unip dev cannot be ended")
	}
	return nil
}

// begins reports a mark that begins so.
func begins(with string) func(mark string) bool {
	return func(mark string) bool { return strings.HasPrefix(mark, with) }
}
