//go:build integration && linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withMemory has the workers run in a cgroup of their own that may use so much memory, and see it
// as a container sees its own.
func withMemory(t *testing.T, bytes int) func(*setup) {
	t.Helper()
	at, file := "/sys/fs/cgroup", "memory.max"
	if _, err := os.Stat(filepath.Join(at, "memory")); err == nil { // the first version
		at, file = filepath.Join(at, "memory"), "memory.limit_in_bytes"
	}
	group, err := os.MkdirTemp(at, "unip-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		eventually(t, "the end of the cgroup's processes", func() bool { return os.Remove(group) == nil })
	})
	if err := os.WriteFile(filepath.Join(group, file), fmt.Append(nil, bytes), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(o *setup) {
		o.python = []string{"unshare", "--mount", "sh", "-ec",
			`echo $$ > "$0/cgroup.procs"; mount --bind "$0" "$1"; shift; exec python3 -B "$@"`, group, at}
	}
}

// What the kernel says of the container's memory decides whether two models are loaded at once. One
// takes 100 MB: beside another one it would overrun 160 MB, and the kernel would end a process.
func TestMemoryOfARealCgroup(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("this test needs root")
		}
		t.Skip("only root makes cgroups")
	}
	const large = `
def load(path):
    global held
    held = bytearray(100_000_000)
    for page in range(0, len(held), 4096):
        held[page] = 1
    return open(path).read()
def f(model):
    return [{"name": "text", "data": model}]
`
	const one = "workers are changed one at a time"
	for name, memory := range map[string]int{"it holds one": 160_000_000, "it holds two": 400_000_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, put := withBox(t, large, withMemory(t, memory))
			l := c.load(t)
			for _, text := range []string{"1", "2"} {
				put(text)
				c.serves(text)
			}
			l.stop()
			if len(l.failed) > 0 {
				t.Errorf("%q", l.failed)
			}
			log := c.log.String()
			if got, want := strings.Contains(log, one), memory < 200_000_000; got != want {
				t.Errorf("%q is in the log: %t, want %t", one, got, want)
			}
			if strings.Contains(log, "out of memory") {
				t.Error("the kernel has ended a process")
			}
		})
	}
}
