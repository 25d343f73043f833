//go:build unix && !linux

package engine

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// attributes make a session and a group of its own. What outlives a kill of the engine is ended when
// the next one begins.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func goFirst(int) {}

// marked are the processes with such a mark in their environment, as far as ps shows that.
func marked(is func(mark string) bool) []int {
	out, err := exec.Command("ps", "-axEww", "-o", "pid=,command=").Output()
	if err != nil {
		return nil
	}
	var found []int
	for l := range strings.Lines(string(out)) {
		fields := strings.Fields(l)
		if len(fields) == 0 {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil || pid == os.Getpid() {
			continue
		}
		for _, f := range fields {
			if strings.HasPrefix(f, markEnv+"=") && is(f) {
				found = append(found, pid)
			}
		}
	}
	return found
}

// memoryOf is what the processes of a group need.
func memoryOf(group int) int64 {
	out, err := exec.Command("ps", "-axo", "pgid=,rss=").Output()
	if err != nil {
		return 0
	}
	var sum int64
	for l := range strings.Lines(string(out)) {
		f := strings.Fields(l)
		if len(f) == 2 && f[0] == strconv.Itoa(group) {
			n, _ := strconv.ParseInt(f[1], 10, 64) // ps writes numbers
			sum += n << 10
		}
	}
	return sum
}
