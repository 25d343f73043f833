package main

import (
	"archive/tar"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// Instances have ranges of their own, all within the range that leads nowhere else.
func TestAddressesOfInstancesAreApart(t *testing.T) {
	t.Parallel()
	outer := netip.MustParsePrefix(whole)
	var ranges []netip.Prefix
	for id := range maxInstances {
		i := instance{ID: id}
		ranges = append(ranges, netip.MustParsePrefix(i.podCIDR()), netip.MustParsePrefix(i.svcCIDR()),
			netip.MustParsePrefix(i.hostIP()+"/24").Masked())
		for _, ip := range []string{i.apiIP(), i.dnsIP()} {
			if !netip.MustParsePrefix(i.svcCIDR()).Contains(netip.MustParseAddr(ip)) {
				t.Errorf("%s is not in %s", ip, i.svcCIDR())
			}
		}
	}
	for n, a := range ranges {
		if !outer.Contains(a.Addr()) || a != a.Masked() {
			t.Errorf("%s is not a range within %s", a, outer)
		}
		for _, b := range ranges[n+1:] {
			if a.Overlaps(b) {
				t.Errorf("%s and %s overlap", a, b)
			}
		}
	}
}

// A checkout is found from a folder in it, and from elsewhere by the program's own place.
func TestTheCheckoutIsFoundFromAnyFolder(t *testing.T) {
	t.Parallel()
	root, elsewhere := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "e2e", "cluster", "kube"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "e2e", "cluster", "kube", "go.mod"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, from := range map[string][2]string{
		"from its root":  {root, elsewhere},
		"from a folder":  {filepath.Join(root, "e2e"), elsewhere},
		"from elsewhere": {elsewhere, filepath.Join(root, "bin")},
	} {
		if got, err := checkout(from[0], from[1]); err != nil || got != root {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	if got, err := checkout(elsewhere, "/"); err == nil {
		t.Errorf("there is none: %q", got)
	}
}

func TestConfigurationIsFilledInAndParses(t *testing.T) {
	t.Parallel()
	for _, n := range []node{instance{ID: 1}.first(), instance{ID: 1}.second()} {
		for name, content := range n.configFiles(map[string]string{"containerd": "/c", "runc": "/usr/sbin/runc"}) {
			for _, left := range []string{
				"{dir}", "{host}", "{node}", "{pods}", "{allPods}", "{dns}", "{name}", "{registry", "{cni}", "{runc}",
			} {
				if strings.Contains(name+content, left) {
					t.Errorf("%s: %s: %s is left", n.hostname(), name, left)
				}
			}
			if strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".conflist") {
				var v any
				if err := yaml.Unmarshal([]byte(content), &v); err != nil {
					t.Errorf("%s: %s: %v", n.hostname(), name, err)
				}
			}
		}
	}
}

func TestNodesShareTheAddressesOfPods(t *testing.T) {
	t.Parallel()
	for id := range maxInstances {
		i := instance{ID: id}
		all, first, second := netip.MustParsePrefix(i.podCIDR()), netip.MustParsePrefix(i.first().pods()),
			netip.MustParsePrefix(i.second().pods())
		for _, part := range []netip.Prefix{first, second} {
			if part != part.Masked() || !all.Contains(part.Addr()) || part.Bits() <= all.Bits() {
				t.Errorf("%s is no part of %s", part, all)
			}
		}
		if first.Overlaps(second) {
			t.Errorf("%s and %s overlap", first, second)
		}
	}
}

func TestSplitPutsNamespacesFirstAndCheckedObjectsLast(t *testing.T) {
	t.Parallel()
	parts := split(
		"kind: CustomResourceDefinition\n---\nkind: Namespace\n---\napiVersion: caching.internal.knative.dev/v1alpha1\nkind: Image\n---\nkind: Deployment\n---\n")
	want := map[string]int{crdsYAML: 2, lateYAML: 1, coreYAML: 1}
	for name, n := range want {
		if len(parts[name]) != n {
			t.Errorf("%s: %q, want %d", name, parts[name], n)
		}
	}
	if parts[crdsYAML][0] != "kind: Namespace" {
		t.Errorf("first is %q", parts[crdsYAML][0])
	}
}

func TestLayersAreTheSameBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{"b/c.txt": "1", "a.txt": "2", "b/__pycache__/x.pyc": "no"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	first, err := addedLayer([]string{dir + ":/app"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "a.txt"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	second, err := addedLayer([]string{dir + ":/app"})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := first.Digest()
	b, _ := second.Digest()
	if a != b {
		t.Error("another digest for the same files")
	}
	content, err := first.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if got := strings.Join(names, " "); got != "app/ app/a.txt app/b/ app/b/c.txt" {
		t.Errorf("%s", got)
	}
}

// What keeps Python from compiling is told: an image without compiled files works, and every start of
// it is slow.
func TestCompilingThatFailsIsAnError(t *testing.T) { //nolint:paralleltest // it sets the environment
	t.Setenv("UNIP_CACHE", t.TempDir())
	root := t.TempDir()
	if err := compilePython(t.Context(), root); err != nil {
		t.Errorf("without Python: %v", err)
	}
	python := filepath.Join(root, "usr/bin/python3")
	if err := errors.Join(os.MkdirAll(filepath.Dir(python), 0o755), os.WriteFile(python, []byte("x"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := compilePython(t.Context(), root); err == nil {
		t.Error("a Python that cannot run has compiled")
	}
}

// Each file that could be compiled and is not is told; one of another Python is not.
func TestFilesWithoutCompiledOnesAreTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{"good.py": "x = 1", "python2.py": "print 'x'", "kept/from.py": "x = 2",
		"null.py": "\x00"} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	run := func() string {
		out, err := exec.CommandContext(t.Context(), "python3", "-W", "ignore", "-c", compile, dir).CombinedOutput()
		if (err == nil) != (len(out) == 0) {
			t.Errorf("%v with %q", err, out)
		}
		return string(out)
	}
	if out := run(); out != "" {
		t.Errorf("all of it compiles, but: %s", out)
	}
	// no folder can be made there
	kept := filepath.Join(dir, "kept", "__pycache__")
	if err := errors.Join(os.RemoveAll(kept), os.WriteFile(kept, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if out := run(); !strings.Contains(out, "no compiled file of 1 modules: "+dir+"/kept/from.py") {
		t.Errorf("it says %q", out)
	}
}

// A package that is broken is an error, though it is another program's than the one that unpacks.
func TestABrokenPackageIsAnError(t *testing.T) { //nolint:paralleltest // it sets the environment
	t.Setenv("UNIP_CACHE", t.TempDir())
	t.Setenv("PATH", t.TempDir()+":"+os.Getenv("PATH"))
	dpkg := filepath.Join(filepath.SplitList(os.Getenv("PATH"))[0], "dpkg-deb")
	// all of a tar that is well, and then a failure
	if err := os.WriteFile(dpkg, []byte("#!/bin/sh\ntar -c -C / etc/hostname\nexit 2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unpack(t.Context(), "x.deb", t.TempDir()); err == nil {
		t.Error("half a package was taken for all of it")
	}
}

func TestHashFollowsContentAndNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hash := func() string {
		h, err := hashFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	seen := map[string]string{}
	for _, step := range []struct{ name, content string }{{"a", "1"}, {"a", "2"}, {"b", "2"}, {"c/d", ""}} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, step.name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, step.name), []byte(step.content), 0o644); err != nil {
			t.Fatal(err)
		}
		h := hash()
		if before, twice := seen[h]; twice {
			t.Errorf("%v has the hash of %s", step, before)
		}
		if h != hash() {
			t.Error("two hashes of one folder")
		}
		seen[h] = step.name
	}
}

func TestPKI(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := writePKI(dir, "198.18.0.2", "198.19.0.1"); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"ca.crt", "apiserver.key", "admin.kubeconfig", "sa.pub"} {
		info, err := os.Stat(filepath.Join(dir, f))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", f, info, err)
		}
	}
}

func TestOnlyTheClustersOwnRegistryIsPushedTo(t *testing.T) {
	t.Parallel()
	if _, err := (instance{}).reference("docker.example/x:1"); err == nil {
		t.Error("another registry was accepted")
	}
	ref, err := (instance{ID: 2}).reference(registryName + "/a/b:1")
	if err != nil || ref.Name() != "198.18.2.2:5000/a/b:1" {
		t.Errorf("%v %v", ref, err)
	}
}

// A signal goes to processes of the node only: this one, which is none, is not found by any name.
func TestSignalFindsTheNodesOnly(t *testing.T) {
	t.Setenv("UNIP_CACHE", t.TempDir())
	i := instance{maxInstances, t.TempDir()} // no cluster has that number
	for _, dir := range []string{i.dir(), i.dir("pki")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.first().remember(os.Getpid()); err != nil { // as if it were the node's PID 1
		t.Fatal(err)
	}
	for _, name := range []string{"kubelet", "pod/u", "pod/u/c", "shim/u"} {
		if n, err := i.send(syscall.SIGKILL, name); n != 0 || err != nil {
			t.Errorf("%s: %d processes, %v", name, n, err)
		}
	}
	for _, name := range []string{"", "go", "pod/", "pod/..", "pod/a/b/c", "shim/", "node/1"} {
		if pids, err := i.named(name); err == nil {
			t.Errorf("%q finds %v", name, pids)
		}
	}
	if s, err := signalOf("kill"); s != syscall.SIGKILL || err != nil {
		t.Error(s, err)
	}
	if _, err := signalOf("KILLS"); err == nil {
		t.Error("an unknown signal is taken")
	}
}

// The ConfigMap that docs/operating.md shows is the one that a cluster with JetStream has, and what it
// says of unip.yaml is what that cluster's says.
func TestOperatingShowsTheBroker(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		b, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	objects := strings.Split(read("jetstream/jetstream.yaml"), "\n---\n")
	docs := read("../../docs/operating.md")
	if last := objects[len(objects)-1]; !strings.Contains(docs, "```yaml\n"+last+"```\n") {
		t.Errorf("docs/operating.md does not show\n%s", last)
	}
	if !strings.Contains(docs, "```yaml\n"+jetstreamSettings+"\n```\n") {
		t.Errorf("docs/operating.md does not show\n%s", jetstreamSettings)
	}
}

// A cluster keeps the broker that it was made with, and says so.
func TestBrokerIsChosenOnce(t *testing.T) {
	t.Setenv("UNIP_CACHE", t.TempDir())
	i := instance{ID: 1}
	if err := i.own(); err != nil {
		t.Fatal(err)
	}
	is := func(want string) {
		t.Helper()
		if b, err := i.broker(); b != want || err != nil {
			t.Errorf("%q, %v; want %s", b, err, want)
		}
	}
	is(inMemory)
	if _, err := i.chooseBroker("kafka"); err == nil {
		t.Error("kafka is taken")
	}
	chosen, err := i.chooseBroker(jetstream)
	if err := errors.Join(err, i.keepBroker(chosen)); err != nil {
		t.Fatal(err)
	}
	is(jetstream)
	if err := os.MkdirAll(filepath.Dir(i.kubeconfig()), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(i.kubeconfig(), nil, 0o600); err != nil { // the cluster has been made
		t.Fatal(err)
	}
	for wanted, want := range map[string]bool{"": true, jetstream: true, inMemory: false} {
		if got, err := i.chooseBroker(wanted); (err == nil) != want || want && got != jetstream {
			t.Errorf("%q: %q, %v", wanted, got, err)
		}
	}
}
