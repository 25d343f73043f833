package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// enterName is the name by which the program knows that it is to become a process with a file system
// of its own.
const enterName = "unip-dev-enter"

// inside is what such a process is told.
type inside struct {
	Root  string // an empty folder for its file system
	View  view
	Path  string
	Args  []string
	Dir   string
	Probe bool // it only shows that it can be
}

// Enter makes a file system in which some paths are others, where this process was started for that,
// and becomes the user's program. Otherwise it returns.
func Enter() {
	if os.Args[0] != enterName || len(os.Args) != 2 {
		return
	}
	var x inside
	err := json.Unmarshal([]byte(os.Args[1]), &x)
	if err == nil {
		err = x.enter()
	}
	if err == nil && x.Probe {
		os.Exit(0)
	}
	if err == nil {
		err = syscall.Exec(x.Path, x.Args, os.Environ())
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", x.Path, err)
	os.Exit(128)
}

func (x *inside) enter() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("a namespace of mounts: %w", err)
	}
	if err := unix.Mount("tmpfs", x.Root, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("a namespace of mounts: %w", err)
	}
	if err := x.populate("/"); err != nil {
		return err
	}
	slices.SortFunc(x.View.Binds, func(a, b bind) int { return strings.Compare(a.To, b.To) })
	for _, b := range x.View.Binds {
		if err := x.bind(b.From, b.To); err != nil {
			return fmt.Errorf("%s: %w", b.To, err)
		}
	}
	for _, l := range x.View.Links {
		err := os.MkdirAll(filepath.Dir(x.in(l.To)), 0o755)
		if err == nil {
			err = os.Symlink(l.From, x.in(l.To))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", l.To, err)
		}
	}
	if err := os.Chdir(x.Root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("a root of its own: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("a root of its own: %w", err)
	}
	// What follows is the user's: it has no more rights than the user.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up rights: %w", err)
	}
	return os.Chdir(x.Dir)
}

// populate shows what the machine has in a folder, but for what lies elsewhere.
func (x *inside) populate(dir string) error {
	all, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, d := range all {
		at := filepath.Join(dir, d.Name())
		switch {
		case x.View.has(at):
		case slices.Contains(x.View.Covers, at):
			err = os.MkdirAll(x.in(at), 0o755)
		case x.View.below(at):
			if err = os.MkdirAll(x.in(at), 0o755); err == nil {
				err = x.populate(at)
			}
		case d.Type()&fs.ModeSymlink != 0:
			var to string
			if to, err = os.Readlink(at); err == nil {
				err = os.Symlink(to, x.in(at))
			}
		default:
			if x.bind(at, at) != nil {
				continue // what cannot be shown is not there
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil
}

func (x *inside) in(path string) string { return filepath.Join(x.Root, path) }

// bind shows a file or a folder at a path.
func (x *inside) bind(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	at := x.in(to)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(at, 0o755)
	} else {
		var f *os.File
		if f, err = os.OpenFile(at, os.O_CREATE, 0o644); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return err
	}
	return unix.Mount(from, at, "", unix.MS_BIND|unix.MS_REC, "")
}

// manner is how a process gets a file system of its own: the namespaces that it is made in.
type manner uintptr

// Root needs no namespace of users, in which it could not read what others own.
const (
	asRoot manner = syscall.CLONE_NEWNS
	asUser manner = syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER
)

// findManner finds one that is allowed here.
func findManner(dir string) (manner, error) {
	if os.Geteuid() == 0 && try(dir, asRoot) == nil {
		return asRoot, nil
	}
	return asUser, try(dir, asUser)
}

// entering has a command begin as the program that makes its file system.
func entering(cmd *exec.Cmd, x inside, m manner) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	cmd.Path, cmd.Args = program, []string{enterName, string(b)}
	a := cmd.SysProcAttr
	if a.Cloneflags = uintptr(m); m == asRoot {
		return nil
	}
	one := func(id int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: id, HostID: id, Size: 1}}
	}
	a.UidMappings, a.GidMappings = one(os.Getuid()), one(os.Getgid())
	a.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	return nil
}

// try has a process get a file system of its own.
func try(dir string, m manner) error {
	root, err := os.MkdirTemp(dir, "root")
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{SysProcAttr: attributes()}
	err = entering(cmd, inside{Root: root, Dir: "/", Path: "a file system of its own", Probe: true}, m)
	var out []byte
	if err == nil {
		out, err = cmd.CombinedOutput()
	}
	if err != nil {
		err = fmt.Errorf("%w %s", err, strings.TrimSpace(string(out)))
	}
	return errors.Join(err, os.RemoveAll(root))
}
