package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The client has a CPU of its own; all processes of the sides share the other one, so that one
// side's calls are not paid by a second core and the client's work is in no figure.
const serverCPU, clientCPU = "0", "1"

// command is a process of a side.
type command struct {
	args []string
	env  []string
}

// process is a running one; output is the file of what it and its children print.
type process struct {
	cmd    *exec.Cmd
	output string
	ended  chan struct{}
}

func launch(c command, dir, output string) (*process, error) {
	f, err := os.Create(output)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &process{cmd: exec.Command("taskset", append([]string{"-c", serverCPU}, c.args...)...), output: output,
		ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), c.env...)
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for this program, which then ends them
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.args[0], err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stopTime is how long a server may take to end by itself.
const stopTime = 5 * time.Second

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTime):
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // what is left of its group
	<-p.ended
}

// said is the end of what a process printed.
func (p *process) said() string {
	b, _ := os.ReadFile(p.output)
	return string(b[max(0, len(b)-2000):])
}

// usage is what processes have used so far.
type usage struct {
	cpu       time.Duration // user and system, with that of children that have ended
	peak      int64         // bytes: the sum of the largest resident sizes that each has had (VmHWM)
	processes int
}

// tick is the unit of the times in /proc/<pid>/stat: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// use adds up these processes and all their descendants.
func use(processes []*process) (usage, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return usage{}, err
	}
	type stat struct {
		parent int
		cpu    time.Duration
	}
	all := map[int]stat{}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) < 15 {
			return usage{}, fmt.Errorf("%s: %d fields", path, len(fields))
		}
		s := stat{}
		s.parent, _ = strconv.Atoi(fields[1])
		for _, f := range fields[11:15] { // utime, stime, cutime, cstime
			ticks, _ := strconv.Atoi(f)
			s.cpu += time.Duration(ticks) * tick
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		all[pid] = s
	}
	ours := map[int]bool{}
	for _, p := range processes {
		ours[p.cmd.Process.Pid] = true
	}
	var u usage
	for pid, s := range all {
		for at := pid; at > 1; at = all[at].parent {
			if !ours[at] {
				continue
			}
			peak, err := highWater(pid)
			if err != nil {
				return usage{}, err
			}
			u = usage{u.cpu + s.cpu, u.peak + peak, u.processes + 1}
			break
		}
	}
	return u, nil
}

func highWater(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, nil // a process that is ending has no memory any more
}

// await polls until the condition holds.
func await(ctx context.Context, limit time.Duration, holds func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}
