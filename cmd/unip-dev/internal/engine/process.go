package engine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// markEnv is in the environment of every process of an attempt, and of those that it makes: by it
// they are found when the engine has been killed.
const markEnv = "UNIP_DEV_ATTEMPT"

// command is the user's process as it is started.
type command struct {
	path   string
	args   []string // with the name
	dir    string
	env    []string
	memory int64 // bytes, 0 for no limit
	// view is what it sees elsewhere; root an empty folder for that, and manner how it is done.
	view   view
	root   string
	manner manner
	// container is the name of the one that it runs, of image; "" is none.
	container, image string
	// bounded: the container may have so much memory only.
	bounded bool
}

// process is the user's, in a session and a process group of its own.
type process struct {
	cmd  *exec.Cmd
	mark string
	done chan struct{} // closed when it has ended
	err  error         // how; to be read after done
}

// launch starts it; what it writes goes to the log itself, so that no pipe breaks when the engine is
// killed.
func launch(c command, log *os.File) (*process, error) {
	p := &process{done: make(chan struct{}), mark: markEnv + "=" + filepath.Dir(c.dir)}
	p.cmd = &exec.Cmd{Path: c.path, Args: c.args, Dir: c.dir, Env: append(c.env, p.mark), Stdout: log, Stderr: log,
		SysProcAttr: attributes()}
	if len(c.view.Binds) > 0 {
		err := entering(p.cmd, inside{Root: c.root, View: c.view, Path: c.path, Args: c.args, Dir: c.dir}, c.manner)
		if err != nil {
			return nil, err
		}
	}
	started := make(chan error)
	go func() {
		// Linux ends the process with the thread that has made it: this one, which waits for it
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	goFirst(p.cmd.Process.Pid)
	return p, nil
}

// code is the exit code, as a shell and containers say it: 128 and the signal for one that ended by
// a signal.
func (p *process) code() int {
	s := p.cmd.ProcessState
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	if p.err != nil && s.ExitCode() <= 0 {
		return 1
	}
	return s.ExitCode()
}

// end asks the process to end, and ends it and all that it has made when it does not.
func (p *process) end() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(graceful):
	}
	p.kill()
}

// kill ends what there still is of it. What makes processes faster than they are found is looked for
// again.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // most often nobody is there any more
	EndMarked(p.mark)
}

// thorough is how many looks in a row must find nobody where there have been some. A process that is
// just becoming another program has no environment for a moment, and is not found then.
const thorough = 6

// endMarked ends the processes of a mark. It says whether none is left, by so many looks.
func endMarked(is func(mark string) bool, tell func(pid int), looks int) bool {
	const tries, usually = 100, 2
	none, enough, some := 0, min(looks, usually), false
	for range tries {
		left := marked(is)
		if len(left) > 0 {
			none, enough, some = 0, looks, true
		} else if none++; none >= enough {
			return true
		}
		for _, pid := range left {
			tell(pid)
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
		}
		if some {
			time.Sleep(stopWithin / tries)
		}
	}
	return false
}

// memoryEvery is the pause between two looks at the memory of a process.
const memoryEvery = 100 * time.Millisecond

// watchMemory ends the process when it and all that it has made need more memory than they may.
// What it gives says, after the end, whether that was so.
func (p *process) watchMemory(most int64) (killed func() bool) {
	if most <= 0 {
		return func() bool { return false }
	}
	over := make(chan bool, 1)
	go func() {
		tick := time.NewTicker(memoryEvery)
		defer tick.Stop()
		for {
			select {
			case <-p.done:
				over <- false
				return
			case <-tick.C:
			}
			if memoryOf(p.cmd.Process.Pid) > most {
				over <- true
				_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
				return
			}
		}
	}()
	return func() bool { return <-over }
}
