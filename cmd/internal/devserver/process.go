//go:build unix

package devserver

import (
	"errors"
	"io"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// graceful is how long the processes may take to end by themselves.
const graceful = 3 * time.Second

// Process is worker.py's supervisor with its workers, in a process group of their own: a terminal's
// Ctrl-C is for unip, which then ends them.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the supervisor has ended
	err  error         // how; to be read after done
}

var errEnded = errors.New("exit code 0")

// StartProcess starts Python with these arguments in a folder. change is nil, or changes how that is done.
func StartProcess(
	python string, args []string, dir string, env []string, output io.Writer, change func(*exec.Cmd) error,
) (*Process, error) {
	p := &Process{cmd: exec.Command(python, args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = dir, env, output, output
	p.cmd.SysProcAttr = attributes()
	p.cmd.WaitDelay = graceful // a process that the function has left behind may hold the output
	if change != nil {
		if err := change(p.cmd); err != nil {
			return nil, err
		}
	}
	started := make(chan error)
	go func() {
		// Linux ends the processes with the thread that has made them: this one, which waits for
		// them
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		if p.err = p.cmd.Wait(); p.err == nil {
			p.err = errEnded
		}
		close(p.done)
	}()
	return p, <-started
}

// pid is the supervisor's number.
func (p *Process) pid() int { return p.cmd.Process.Pid }

// Done is closed when the supervisor has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how it has ended.
func (p *Process) Err() error { return p.err }

// Code is its exit code, -1 when a signal ended it.
func (p *Process) Code() int {
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// Stop ends the supervisor, which ends its workers, and then what they have left behind.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(graceful):
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // most often nobody is there any more
	<-p.done
}
