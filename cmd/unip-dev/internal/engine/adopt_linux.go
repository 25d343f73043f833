package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reapEvery is the pause between two looks at what has been adopted and has ended.
const reapEvery = 5 * time.Second

// Adopt has this process be the parent of what its processes leave behind, also of daemons that have left
// their session and their environment. end, when nobody else waits for a process any more, ends all of it.
func Adopt() (end func()) {
	if unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != nil {
		return func() {}
	}
	ending := make(chan struct{})
	go reap(ending)
	return func() {
		close(ending)
		const tries = 100
		for range tries {
			left := descendants(os.Getpid())
			for _, p := range left {
				_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may have ended
			}
			for { // those that have
				if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
					break
				}
			}
			if len(left) == 0 {
				return
			}
			time.Sleep(stopWithin / tries / 10)
		}
	}
}

// reap takes leave of adopted processes that have ended. Those that were made here have somebody who
// waits for them, so that none of them has ended at two looks.
func reap(ending <-chan struct{}) {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	var before []int
	for {
		select {
		case <-ending:
			return
		case <-tick.C:
		}
		var ended []int
		for _, p := range descendants(os.Getpid()) {
			if !p.ended {
				continue
			}
			if slices.Contains(before, p.pid) {
				_, _ = syscall.Wait4(p.pid, nil, syscall.WNOHANG, nil)
				continue
			}
			ended = append(ended, p.pid)
		}
		before = ended
	}
}

// descendant is a process that one has made, or one that it has made.
type descendant struct {
	pid   int
	ended bool // and nobody has waited for it yet
}

func descendants(of int) []descendant {
	children := map[int][]descendant{}
	each(func(pid int, dir string) {
		b, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			return // it has gone
		}
		// pid (name) state parent
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) < 2 {
			return
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], descendant{pid, fields[0] == "Z"})
		}
	})
	all := children[of]
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i].pid]...)
	}
	return all
}
