package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// attributes make a session and a group of its own. The process dies with the engine.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// goFirst lets Linux end the process before others when the machine has no memory left.
func goFirst(pid int) {
	// Where it is not allowed, nothing is lost.
	_ = os.WriteFile(filepath.Join("/proc", strconv.Itoa(pid), "oom_score_adj"), []byte("900"), fileMode)
}

// each gives the processes of this machine.
func each(do func(pid int, dir string)) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return
	}
	for _, d := range all {
		if pid, err := strconv.Atoi(d.Name()); err == nil {
			do(pid, filepath.Join("/proc", d.Name()))
		}
	}
}

// marked are the processes with such a mark in their environment.
func marked(is func(mark string) bool) []int {
	var found []int
	each(func(pid int, dir string) {
		if pid == os.Getpid() {
			return
		}
		b, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil {
			return // it is somebody else's, or has gone
		}
		for e := range bytes.SplitSeq(b, []byte{0}) {
			if strings.HasPrefix(string(e), markEnv+"=") && is(string(e)) {
				found = append(found, pid)
				return
			}
		}
	})
	return found
}

// memoryOf is what the processes of a session need: what a cgroup would count, but for files that
// are cached.
func memoryOf(session int) int64 {
	var sum int64
	each(func(_ int, dir string) {
		b, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			return
		}
		// pid (name) state parent group session
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) < 4 || fields[3] != strconv.Itoa(session) {
			return
		}
		b, err = os.ReadFile(filepath.Join(dir, "status"))
		if err != nil {
			return
		}
		for l := range strings.Lines(string(b)) {
			if strings.HasPrefix(l, "RssAnon:") || strings.HasPrefix(l, "RssShmem:") {
				if f := strings.Fields(l); len(f) > 1 {
					n, _ := strconv.ParseInt(f[1], 10, 64) // the kernel writes numbers
					sum += n << 10
				}
			}
		}
	})
	return sum
}
