//go:build e2e

package attack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a folder of manifests may cost whoever translates it.
const (
	folderTime   = 20 * time.Second // on a machine that has other work
	folderMemory = 1 << 30
)

const aBox = "apiVersion: unified-platform.cs.hse.ru/v1\nkind: DataBox\n" +
	"metadata: {name: userdata, namespace: pu-x-pa-y}\nspec: {s3DefaultStorage: {}}\n"

// secretBox is a manifest outside of the folder that its maker would like to see.
const secretBox = "apiVersion: unified-platform.cs.hse.ru/v1\nkind: Secret\n" +
	"metadata: {name: outside, namespace: pu-x-pa-y}\nstringData: {key: " + modelsSecret + "}\n"

// Folders that somebody else has made, translated by the command itself: it reads the folder's own
// regular files, within bounds, or says which it does not read.
func TestManifestFolders(t *testing.T) {
	t.Parallel()
	unip := filepath.Join(cluster.Root, "bin", "unip")
	outside := filepath.Join(t.TempDir(), "outside.yaml")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(outside, []byte(secretBox), 0o600))
	write := func(dir, name, text string) {
		path := filepath.Join(dir, name)
		must(os.MkdirAll(filepath.Dir(path), 0o755))
		must(os.WriteFile(path, []byte(text), 0o600))
	}
	link := func(dir, name, to string) { must(os.Symlink(to, filepath.Join(dir, name))) }
	sparse := func(dir, name string, size int64) {
		write(dir, name, "")
		must(os.Truncate(filepath.Join(dir, name), size))
	}
	object := func(text string) func(string) {
		return func(dir string) { write(dir, "more.yaml", text) }
	}
	const meta = "metadata: {name: x, namespace: pu-x-pa-y}\n"
	const items = "items:\n- apiVersion: rbac.authorization.k8s.io/v1\n  kind: ClusterRoleBinding\n  metadata: {name: pwn}\n"
	cases := []struct {
		name string
		make func(dir string) // beside box.yaml
		says string           // what the command says, in part
	}{
		{"a link out of it", func(d string) { link(d, "x.yaml", outside) }, "leads out of the folder"},
		{"a relative link out of it", func(d string) {
			to, err := filepath.Rel(d, outside)
			must(err)
			link(d, "x.yaml", to)
		}, "leads out of the folder"},
		{"a link by a link", func(d string) { link(d, "up", ".."); link(d, "x.yaml", "up/outside.yaml") },
			"leads out of the folder"},
		{"a link to itself", func(d string) { link(d, "x.yaml", "x.yaml") }, "x.yaml"},
		{"a link to nothing", func(d string) { link(d, "x.yaml", "nothing.yaml") }, "x.yaml"},
		{"a link to a folder", func(d string) { link(d, "x.yaml", ".") }, "a folder, not a file"},
		{"a link to /dev/zero", func(d string) { link(d, "x.yaml", "/dev/zero") }, "leads out of the folder"},
		{"a link to /dev/stdin", func(d string) { link(d, "x.json", "/dev/stdin") }, "leads out of the folder"},
		{"a link to the password file", func(d string) { link(d, "x.yml", "/etc/passwd") }, "leads out of the folder"},
		{"a link into /proc", func(d string) { link(d, "x.yaml", "/proc/self/environ") }, "leads out of the folder"},
		{"a pipe", func(d string) { must(syscall.Mkfifo(filepath.Join(d, "x.yaml"), 0o600)) }, "a pipe, not a file"},
		{"a socket", func(d string) {
			short, err := os.MkdirTemp("", "s") // a socket's path has 108 bytes at most
			must(err)
			defer os.RemoveAll(short)
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(short, "s"), Net: "unix"})
			must(err)
			l.SetUnlinkOnClose(false)
			must(l.Close())
			must(os.Rename(filepath.Join(short, "s"), filepath.Join(d, "x.yaml")))
		}, "a socket, not a file"},
		{"a device", func(d string) {
			err := syscall.Mknod(filepath.Join(d, "x.yaml"), syscall.S_IFCHR|0o666, 1<<8|5) // zero
			if errors.Is(err, syscall.EPERM) {
				link(d, "x.yaml", "/dev/zero")
				return
			}
			must(err)
		}, "x.yaml"},
		{"a file of 100 GB", func(d string) { sparse(d, "x.yaml", 100<<30) }, "more than 64 MiB"},
		{"a file of 20 MiB", func(d string) { sparse(d, "x.yaml", 20<<20) }, "larger than 16 MiB"},
		{"200 files of 16 MiB", func(d string) {
			for i := range 200 {
				sparse(d, fmt.Sprint(i, ".yaml"), 16<<20)
			}
		}, "more than 64 MiB"},
		{"10001 files", func(d string) {
			for i := range 10_001 {
				write(d, fmt.Sprint(i, ".yaml"), "")
			}
		}, "more than 10000 files"},
		{"links below it", func(d string) { write(d, "below/box.txt", ""); link(d, "below/x.yaml", outside) },
			"leads out of the folder"},
		{"a ConfigMap with items", object("apiVersion: v1\nkind: ConfigMap\n" + meta + items), `has a field "items"`},
		{"a Secret with items", object("apiVersion: v1\nkind: Secret\n" + meta + items), `has a field "items"`},
		{"a ConfigMap without items in them", object("apiVersion: v1\nkind: ConfigMap\n" + meta + "items: []\n"),
			`has a field "items"`},
		{"a List", object("apiVersion: v1\nkind: List\n" + items), "more.yaml"},
		{"a ConfigMapList", object("apiVersion: v1\nkind: ConfigMapList\n" + meta + items), "more.yaml"},
		{"a ConfigMap elsewhere", object(
			"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: kube-system}\n"), "its own"},
		{"a ConfigMap of two namespaces",
			object("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: pu-x-pa-y, namespace: kube-system}\n"), "more.yaml"},
		{"a ClusterRoleBinding in JSON", func(d string) {
			write(d, "x.json",
				`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"pwn"}}`)
		}, "of no kind that a module carries"},
		{"the Namespace itself", object("apiVersion: v1\nkind: Namespace\nmetadata: {name: pu-x-pa-y}\n"),
			"of no kind that a module carries"},
		{"a Service of a name elsewhere",
			object("apiVersion: v1\nkind: Service\n" + meta +
				"spec: {type: ExternalName, externalName: kubernetes.default.svc}\n"), "no ClusterIP"},
		{"a token's Secret", object(
			"apiVersion: v1\nkind: Secret\n" + meta + "type: kubernetes.io/service-account-token\n"), "ServiceAccount"},
	}
	tried(t, 2*len(cases))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "folder")
			write(dir, "box.yaml", aBox)
			write(filepath.Dir(dir), "outside.yaml", secretBox)
			c.make(dir)
			for _, command := range []string{"validate", "translate"} {
				refusesFolder(t, unip, command, dir, c.says)
			}
		})
	}
}

// refusesFolder runs a command of unip on a folder.
func refusesFolder(t *testing.T, unip, command, dir, says string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), folderTime)
	defer cancel()
	var out, faults bytes.Buffer
	c := exec.CommandContext(ctx, unip, command, "-f", dir, "--recursive")
	c.Stdout, c.Stderr = &out, &faults
	err := c.Run()
	switch exit := (*exec.ExitError)(nil); {
	case ctx.Err() != nil:
		t.Errorf("%s: not done within %s", command, folderTime)
	case err == nil:
		t.Errorf("%s: it is taken: %.300s", command, out.String())
	case !errors.As(err, &exit) || exit.ExitCode() != 1:
		t.Errorf("%s: %v: %.300s", command, err, faults.String())
	case !strings.Contains(faults.String(), says):
		t.Errorf("%s: it says %.300q, want %q", command, faults.String(), says)
	}
	if s := betrays(out.String() + faults.String()); s != "" {
		t.Errorf("%s: it shows %s, which is not in the folder", command, s)
	}
	if command == "translate" && out.Len() > 0 {
		t.Errorf("%s: something came out: %.300s", command, out.String())
	}
	if used, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok && used.Maxrss<<10 > folderMemory { // in KiB
		t.Errorf("%s: it took %d MiB of memory", command, used.Maxrss>>10)
	}
}
