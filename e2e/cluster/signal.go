package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A name says which processes of the node get a signal:
//
//	kube-apiserver, etcd, s3, …      a component, as in the names of the logs
//	pod/UID                          the processes of a pod's containers
//	pod/UID/CONTAINER                those of one container, by its id in containerd
//	shim/UID                         the containerd-shim that a pod's containers are children of
//
// Nothing but the node's own processes is ever found: a component is a child of its PID 1, and a
// pod's processes lie in a group below its cgroup.

// signal sends a signal to all that the names find, and is an error when one of them finds nothing.
// A component that ends is started again a second later. For a time: what is killed is kept from
// coming back, and what is stopped goes on at the end of it.
func (i instance) signal(ctx context.Context, sig syscall.Signal, hold time.Duration, names []string) error {
	if !i.running() {
		return fmt.Errorf("cluster %d does not run", i.ID)
	}
	var errs []error
	for _, name := range names {
		found, err := i.send(sig, name)
		if err == nil && found == 0 {
			err = errors.New("no such process")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if hold <= 0 || len(errs) > 0 {
		return errors.Join(errs...)
	}
	i.hold(ctx, sig, hold, names)
	return nil
}

// hold keeps them so until the time is over or the context ends.
func (i instance) hold(ctx context.Context, sig syscall.Signal, hold time.Duration, names []string) {
	ctx, cancel := context.WithTimeout(ctx, hold)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if sig == syscall.SIGSTOP {
				for _, name := range names {
					_, _ = i.send(syscall.SIGCONT, name) // whoever has ended meanwhile does not need it
				}
			}
			return
		case <-tick.C:
			if sig == syscall.SIGKILL {
				for _, name := range names {
					_, _ = i.send(sig, name) // not there is what is wanted
				}
			}
		}
	}
}

// send signals what the name finds at this moment and says how many that were.
func (i instance) send(sig syscall.Signal, name string) (int, error) {
	pids, err := i.named(name)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, pid := range pids {
		switch err := syscall.Kill(pid, sig); {
		case err == nil:
			n++
		case !errors.Is(err, syscall.ESRCH):
			return n, err
		}
	}
	return n, nil
}

// named are the processes of a name.
func (i instance) named(name string) ([]int, error) {
	kind, rest, special := strings.Cut(name, "/")
	switch {
	case !special:
		return i.component(name)
	case kind == "pod" && rest != "":
		return i.inPod(rest)
	case kind == "shim" && rest != "":
		pids, err := i.inPod(rest)
		if err != nil {
			return nil, err
		}
		var shims []int
		for _, pid := range pids {
			parent, err := parentOf(pid)
			// A process that another one of its container has left is a child of the shim, too.
			if err == nil && !slices.Contains(shims, parent) && strings.Contains(commandOf(parent), "containerd-shim") {
				shims = append(shims, parent)
			}
		}
		return shims, nil
	}
	return nil, fmt.Errorf("%q is no component, pod/UID, pod/UID/CONTAINER or shim/UID", name)
}

// component is the process of a daemon of the first node: a child of the node's PID 1 that was started by its name.
func (i instance) component(name string) ([]int, error) {
	first, later, err := i.first().daemons()
	if err != nil {
		return nil, err
	}
	all := append(first, later...)
	at := slices.IndexFunc(all, func(d daemon) bool { return d.name == name })
	if at < 0 {
		return nil, fmt.Errorf("there is no component %q", name)
	}
	node := i.first().pid()
	var pids []int
	for _, pid := range processes() {
		parent, err := parentOf(pid)
		if err == nil && parent == node && commandOf(pid) == cmp.Or(all[at].becomes, all[at].args[0]) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// inPod are the processes of a pod, or of one of its containers, but for the one that only holds
// the pod's namespaces.
func (i instance) inPod(pod string) ([]int, error) {
	uid, container, _ := strings.Cut(pod, "/")
	if strings.ContainsAny(uid+container, "/.") || uid == "" {
		return nil, fmt.Errorf("%q is no UID of a pod", pod)
	}
	var below []string // the nodes' groups
	for _, n := range []node{i.first(), i.second()} {
		below = append(below, ":/"+n.netns()+"/")
	}
	group := "/pod" + uid + "/" + container
	var pids []int
	for _, pid := range processes() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		ours := func(below string) bool { return strings.Contains(string(b), below) }
		if err != nil || !slices.ContainsFunc(below, ours) || !strings.Contains(string(b), group) {
			continue
		}
		if filepath.Base(commandOf(pid)) != "pause" {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func processes() []int {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, p := range procs {
		if pid, err := strconv.Atoi(filepath.Base(p)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// commandOf is the first argument that a process was started with.
func commandOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	name, _, _ := bytes.Cut(b, []byte{0})
	return string(name)
}

func parentOf(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // the command may hold anything
	if len(f) < 2 {
		return 0, fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	return strconv.Atoi(f[1])
}

// signalOf reads KILL, SIGKILL, STOP and so on.
func signalOf(name string) (syscall.Signal, error) {
	sig := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	if sig == 0 {
		return 0, fmt.Errorf("there is no signal %q", name)
	}
	return sig, nil
}
