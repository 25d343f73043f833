package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// start starts this program again as the node: PID 1 of new PID and mount namespaces, in the node's
// network namespace. It returns when the process has been started and written down.
func (n node) start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	logFile, err := os.OpenFile(n.dir("log", "node.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	netns, err := os.Open("/run/netns/" + n.netns())
	if err != nil {
		return err
	}
	defer netns.Close()

	cmd := exec.Command(self, "node", "--id", fmt.Sprint(n.ID), "--number", fmt.Sprint(n.number))
	cmd.Dir = n.root
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	started := make(chan error)
	go func() { // this thread enters the network namespace, and is not used again
		runtime.LockOSThread()
		err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting the node: %w", err)
	}
	if err := n.remember(cmd.Process.Pid); err != nil {
		return fmt.Errorf("starting the node: %w; see %s", err, n.dir("log", "node.log"))
	}
	return cmd.Process.Release()
}

// run is the life of PID 1. It never returns unless its own preparations fail.
func (n node) run() error {
	if os.Getpid() != 1 {
		return errors.New("`node` is for `up` to start")
	}
	if err := errors.Join(n.mounts(), n.cgroups(), os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"),
		0o644)); err != nil {
		return err
	}
	bins, err := binaries(n.root)
	if err != nil {
		return err
	}
	s3, err := n.s3Server()
	if err != nil {
		return err
	}
	broker, err := n.broker()
	if err != nil {
		return err
	}
	path := []string{bins["kube"], bins["containerd"], bins["tools"]}
	for _, p := range append(s3.programs(), brokerPrograms(broker)...) {
		path = append(path, bins[p.module])
	}
	path = append(path, "/usr/sbin:/usr/bin:/sbin:/bin")
	if err := os.Setenv("PATH", strings.Join(path, ":")); err != nil {
		return err
	}
	s := &supervisor{logs: n.dir("log"), running: map[int]daemon{}}
	go s.reap()
	first, later, err := n.daemons()
	if err != nil {
		return err
	}
	for _, d := range first {
		s.start(d)
	}
	if err := n.awaitAPI(context.Background(), 5*time.Minute); err != nil {
		log.Print(err) // the others try for themselves
	}
	for _, d := range later {
		s.start(d)
	}
	select {}
}

// mounts gives the node a file system of its own where it matters: /proc, /run, kubelet's and
// containerd's places, and the names of the network namespace.
func (n node) mounts() error {
	m := func(src, dst, kind string, flags uintptr, data string) error {
		if err := unix.Mount(src, dst, kind, flags, data); err != nil {
			return fmt.Errorf("mounting %s: %w", dst, err)
		}
		return nil
	}
	bind := func(src, dst string) error { return m(src, dst, "", unix.MS_BIND, "") }
	for _, step := range []func() error{
		func() error { return m("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return m("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "") },
		// Kubelet wants shared propagation: a peer group of this namespace only.
		func() error { return m("none", "/", "", unix.MS_REC|unix.MS_SHARED, "") },
		func() error { return m("tmpfs", "/run", "tmpfs", 0, "mode=755") },
		func() error { return bind(n.dir("var", "lib"), "/var/lib") },
		func() error { return bind(n.dir("var", "log"), "/var/log") },
		func() error { return bind(filepath.Join("/etc/netns", n.netns(), "hosts"), "/etc/hosts") },
		func() error { return bind(filepath.Join("/etc/netns", n.netns(), "resolv.conf"), "/etc/resolv.conf") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

const cgroupRoot = "/sys/fs/cgroup"

// cgroups makes the group that all pods' groups hang under. On version 1: one in each hierarchy. On
// version 2 (untried): one, with the controllers handed down.
func (n node) cgroups() error {
	if exists(filepath.Join(cgroupRoot, "cgroup.controllers")) {
		all, err := os.ReadFile(filepath.Join(cgroupRoot, "cgroup.controllers"))
		if err != nil {
			return err
		}
		hand := "+" + strings.Join(strings.Fields(string(all)), " +")
		if err := os.WriteFile(filepath.Join(cgroupRoot, "cgroup.subtree_control"), []byte(hand), 0o644); err != nil {
			return err
		}
		return os.MkdirAll(filepath.Join(cgroupRoot, n.netns()), 0o755)
	}
	hierarchies, err := filepath.Glob(cgroupRoot + "/*")
	if err != nil || len(hierarchies) == 0 {
		return fmt.Errorf("no cgroups at %s: %w", cgroupRoot, err)
	}
	for _, h := range hierarchies {
		if filepath.Base(h) == "unified" {
			continue
		}
		if err := os.MkdirAll(filepath.Join(h, n.netns()), 0o755); err != nil {
			return err
		}
	}
	// a new cpuset is empty, and nothing can run in an empty one
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		b, err := os.ReadFile(filepath.Join(cgroupRoot, "cpuset", f))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(cgroupRoot, "cpuset", n.netns(), f), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// cgroupsDown removes the groups; the kernel needs a moment after the last process.
func (n node) cgroupsDown() error {
	groups, _ := filepath.Glob(cgroupRoot + "/*/" + n.netns())
	groups = append(groups, filepath.Join(cgroupRoot, n.netns()))
	deadline := time.Now().Add(15 * time.Second)
	for _, g := range groups {
		for exists(g) {
			removeGroups(g)
			if time.Now().After(deadline) {
				return fmt.Errorf("cgroup %s cannot be removed", g)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// removeGroups removes a group and those below it, the innermost first. (The files in them are the
// kernel's.)
func removeGroups(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			removeGroups(filepath.Join(dir, e.Name()))
		}
	}
	_ = syscall.Rmdir(dir)
}

// daemon is one program of the node.
type daemon struct {
	name string
	env  []string
	args []string // args[0] is found on PATH
	// becomes is how the program is called in the end, where that is not args[0].
	becomes string
}

// supervisor keeps daemons running and reaps whatever ends, orphans included: it is PID 1.
type supervisor struct {
	logs    string
	mu      sync.Mutex
	running map[int]daemon
}

// start starts a daemon; when that fails, or when it ends, it is started again a second later.
func (s *supervisor) start(d daemon) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pid, err := s.spawn(d)
	if err != nil {
		log.Printf("%s: %v", d.name, err)
		time.AfterFunc(time.Second, func() { s.start(d) })
		return
	}
	s.running[pid] = d
}

func (s *supervisor) spawn(d daemon) (int, error) {
	path, err := exec.LookPath(d.args[0])
	if err != nil {
		return 0, err
	}
	out, err := os.OpenFile(filepath.Join(s.logs, d.name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	return syscall.ForkExec(path, d.args, &syscall.ProcAttr{
		Dir: "/", Env: append(os.Environ(), d.env...), Files: []uintptr{null.Fd(), out.Fd(), out.Fd()},
	})
}

func (s *supervisor) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err != nil {
			time.Sleep(100 * time.Millisecond) // no children yet
			continue
		}
		s.mu.Lock()
		d, ours := s.running[pid]
		delete(s.running, pid)
		s.mu.Unlock()
		if ours {
			log.Printf("%s ended: exit code %d, signal %v", d.name, status.ExitStatus(), status.Signal())
			time.AfterFunc(time.Second, func() { s.start(d) })
		}
	}
}

// awaitAPI waits until the API server says that it is ready.
func (i instance) awaitAPI(ctx context.Context, timeout time.Duration) error {
	ca, err := os.ReadFile(i.dir("pki", "ca.crt"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true},
	}
	return await(ctx, timeout, "API server", func() error {
		resp, err := client.Get("https://" + i.nodeIP() + ":6443/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", resp.Status, b)
		}
		return nil
	})
}

// await calls check until it returns nil or the time is over.
func await(ctx context.Context, timeout time.Duration, what string, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready within %s: %w", what, timeout, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
