package memory

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// local is the system that this is.
var local system = proc{}

// proc is Linux.
type proc struct{}

func (proc) processes() ([]process, error) {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	names, err := folder.Readdirnames(-1)
	folder.Close()
	if err != nil {
		return nil, err
	}
	all := make([]process, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue // no process
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it has ended
		}
		// PID (NAME) STATE PARENT GROUP …, and a name may be anything
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 3 || fields[0] == "Z" {
			continue // it has ended, and nobody has asked how
		}
		parent, _ := strconv.Atoi(fields[1]) // the kernel writes numbers
		group, _ := strconv.Atoi(fields[2])
		all = append(all, process{pid, parent, group})
	}
	return all, nil
}

func (proc) held(pids []int, once bool) int64 {
	var sum int64
	for _, pid := range pids {
		at := "/proc/" + strconv.Itoa(pid)
		if once {
			// kernels before 5.3 do not tell the kinds of pages apart
			if n, ok := kilobytes(at+"/smaps_rollup", "Pss_Anon:", "Pss_Shmem:", "SwapPss:"); ok {
				sum += n
				continue
			}
		}
		n, _ := kilobytes(at+"/status", "RssAnon:", "RssShmem:", "VmSwap:")
		sum += n
	}
	return sum
}

// kilobytes sums lines of a file of /proc, in bytes; ok says that all of them are there.
func kilobytes(file string, keys ...string) (sum int64, ok bool) {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, false // the process has ended
	}
	found := 0
	for line := range strings.Lines(string(content)) {
		for _, key := range keys {
			if value, is := strings.CutPrefix(line, key); is {
				n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
				sum += n << 10
				found++
			}
		}
	}
	return sum, found == len(keys)
}

func (proc) kill(pid int) error { return kill(pid) }

// first is the highest wish of being ended that there is; everybody may raise that of one's own.
const first = "1000"

func (proc) prefer(pid int) error {
	err := os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(first), 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil // it has ended
	}
	return err
}
