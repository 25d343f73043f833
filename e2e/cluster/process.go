package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is remembered by its number and its start time, so that a number that the kernel has
// given to another process is never mistaken for ours.

func startTime(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field is the command in parentheses and may hold anything; the 22nd is the start
	// time.
	_, rest, ok := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if !ok || len(f) < 20 {
		return "", fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	return f[19], nil
}

func (n node) remember(pid int) error {
	start, err := startTime(pid)
	if err != nil {
		return err
	}
	return os.WriteFile(n.dir("pid"), []byte(fmt.Sprintf("%d %s\n", pid, start)), 0o600)
}

// pid is the node's PID 1 as seen from the machine, 0 when it does not run.
func (n node) pid() int {
	b, err := os.ReadFile(n.dir("pid"))
	if err != nil {
		return 0
	}
	number, start, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	pid, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	if now, err := startTime(pid); err != nil || now != start {
		return 0
	}
	return pid
}

func (n node) running() bool { return n.pid() != 0 }

func (i instance) running() bool { return i.first().running() }

// members are the processes in the node's network namespace, and whatever else lives in their PID
// namespaces: all of the node, also when its number was never written down.
func (n node) members() []int {
	var ns syscall.Stat_t
	if syscall.Stat("/run/netns/"+n.netns(), &ns) != nil {
		return nil
	}
	var pids []int
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		var s syscall.Stat_t
		if syscall.Stat(p+"/ns/net", &s) == nil && s.Ino == ns.Ino && s.Dev == ns.Dev {
			if pid, err := strconv.Atoi(filepath.Base(p)); err == nil && pid != os.Getpid() {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// kill ends the cluster and waits until nothing of it is left.
func (i instance) kill() error { return errors.Join(i.second().kill(), i.first().kill()) }

// kill ends the node as a loss of power does, and waits until nothing of it is left.
func (n node) kill() error {
	if pid := n.pid(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		left := n.members()
		if len(left) == 0 && n.pid() == 0 {
			return nil
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of %s do not end", left, n.hostname())
		}
		time.Sleep(50 * time.Millisecond)
	}
}
