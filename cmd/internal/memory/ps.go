//go:build unix

package memory

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// ps is any Unix: it asks the command of that name.
type ps struct{}

func (ps) processes() ([]process, error) {
	out, err := exec.Command("ps", "-A", "-o", "stat=,pid=,ppid=,pgid=").Output()
	if err != nil {
		return nil, err
	}
	var all []process
	for line := range strings.Lines(string(out)) {
		var state string
		var p process
		if _, err := fmt.Sscan(line, &state, &p.pid, &p.parent, &p.group); err != nil {
			return nil, fmt.Errorf("ps shows %q: %w", line, err)
		}
		if state[0] != 'Z' { // one that has ended, and nobody has asked how
			all = append(all, p)
		}
	}
	return all, nil
}

// held cannot tell what is shared.
func (ps) held(pids []int, _ bool) int64 {
	var list []string
	for _, pid := range pids {
		list = append(list, strconv.Itoa(pid))
	}
	out, err := exec.Command("ps", "-o", "rss=", "-p", strings.Join(list, ",")).Output()
	if err != nil {
		return 0 // all have ended: then ps fails
	}
	var sum int64
	for field := range strings.FieldsSeq(string(out)) {
		n, _ := strconv.ParseInt(field, 10, 64) // ps writes numbers
		sum += n << 10
	}
	return sum
}

func (ps) kill(pid int) error { return kill(pid) }

func (ps) prefer(int) error { return nil }
