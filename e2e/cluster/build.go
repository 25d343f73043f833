package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// program is one set of binaries out of one nested module.
type program struct {
	module   string   // folder beside this file
	flags    []string // of go build
	ldflags  string
	packages []string // what to build; "." for the module itself
	links    []string // names that point at the only binary
}

const kubeVersion = "v1.36.3"

var (
	kube = program{
		module: "kube", packages: []string{"."},
		ldflags: versionFlags("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
		links: []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet",
			"kube-proxy", "kubectl"},
	}
	containerd = program{
		module: "containerd", flags: []string{"-tags=no_btrfs no_devmapper no_zfs"},
		ldflags: "-X github.com/containerd/containerd/v2/version.Version=v2.4.2",
		packages: []string{
			"github.com/containerd/containerd/v2/cmd/containerd",
			"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
			"github.com/containernetworking/plugins/plugins/ipam/host-local",
			"github.com/containernetworking/plugins/plugins/main/loopback",
			"github.com/containernetworking/plugins/plugins/main/ptp",
			"github.com/containernetworking/plugins/plugins/meta/portmap",
		},
	}
	tools = program{module: "tools", packages: []string{
		"github.com/distribution/distribution/v3/cmd/registry",
		"github.com/google/ko",
	}}

	// collector is what tests of spans send them to.
	collector = program{module: "collector", packages: []string{"."}}

	// programs are what every cluster is made of; its S3 server is one of s3Servers.
	programs = []program{kube, containerd, tools}
)

// known are all programs that can be built here.
func known() []program {
	all := slices.Clone(programs)
	for _, s := range s3Servers {
		all = append(all, s.programs()...)
	}
	return append(all, nats, collector)
}

// versionFlags sets the version by hand: a binary out of the module cache does not know its own,
// and kubelet reports it.
func versionFlags(packages ...string) string {
	var b strings.Builder
	for _, p := range packages {
		fmt.Fprintf(&b,
			"-X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=1 -X %[1]s.gitMinor=36 -X %[1]s.gitTreeState=clean ", p,
			kubeVersion)
	}
	return b.String()
}

// key is a hash of all that decides what comes out: the module's files, the flags, and Go's
// version.
func (p program) key(root string) (string, error) {
	files, err := hashFolder(filepath.Join(root, "e2e", "cluster", p.module))
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, files, runtime.Version(), runtime.GOARCH, p.flags, p.ldflags, p.packages)
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// bin is where the binaries lie.
func (p program) bin(root string) (string, error) {
	k, err := p.key(root)
	return filepath.Join(cacheDir(), "bin", p.module+"-"+k), err
}

// build compiles what is not in the cache; it reports whether there was anything to do.
func (p program) build(ctx context.Context, root string) (built bool, err error) {
	bin, err := p.bin(root)
	if err != nil || exists(bin) {
		return false, err
	}
	unlock, err := lock(ctx, bin+".lock")
	if err != nil {
		return false, err
	}
	defer unlock()
	if exists(bin) { // somebody else has built it meanwhile
		return false, nil
	}
	tmp := bin + ".part"
	if err := os.RemoveAll(tmp); err != nil {
		return true, err
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return true, err
	}
	args := append([]string{"build", "-trimpath", "-ldflags=-s -w " + p.ldflags, "-o", tmp + "/"}, p.flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, p.packages...)...)
	cmd.Dir = filepath.Join(root, "e2e", "cluster", p.module)
	cmd.Env = goEnv()
	if err := logged(cmd, "build-"+p.module); err != nil {
		return true, err
	}
	for _, l := range p.links {
		if err := os.Symlink(p.module, filepath.Join(tmp, l)); err != nil {
			return true, err
		}
	}
	return true, os.Rename(tmp, bin)
}

// lock waits until nobody else holds a file: who builds by `make cluster` and a test that needs one
// of its programs may come at the same time.
func lock(ctx context.Context, file string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", file, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// goEnv keeps builds the same wherever they are started: no cgo, the toolchain that is here, no
// flags from outside.
func goEnv() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOFLAGS=-buildvcs=false")
}

// download brings what the modules need into the module cache, so that later builds need no
// network.
func download(ctx context.Context, root string, modules []string) error {
	for _, m := range modules {
		cmd := exec.CommandContext(ctx, "go", "mod", "download")
		cmd.Dir = filepath.Join(root, "e2e", "cluster", m)
		cmd.Env = goEnv()
		if err := logged(cmd, "download-"+m); err != nil {
			return err
		}
	}
	return nil
}

// hashFolder hashes the names and contents of all files below a folder.
func hashFolder(dir string) (string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, p)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	h := sha256.New()
	for _, p := range files {
		f, err := os.Open(p)
		if err != nil {
			return "", err
		}
		rel, _ := filepath.Rel(dir, p)
		fmt.Fprintf(h, "%s\n", rel)
		n, err := io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%d\n", n)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// logged runs a command with its output in a log file of the cache; when it fails, the error shows
// the end of it.
func logged(cmd *exec.Cmd, name string) error {
	dir := filepath.Join(cacheDir(), "log")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, name+".log")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = f
	}
	cmd.Stderr = f
	if err := cmd.Run(); err != nil {
		b, _ := os.ReadFile(path)
		return fmt.Errorf("%s: %w; the end of %s:\n%s", strings.Join(cmd.Args[:min(3, len(cmd.Args))], " "), err, path,
			tail(string(b), 20))
	}
	return nil
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return "  " + strings.Join(all[max(0, len(all)-lines):], "\n  ")
}
