//go:build e2e

package release

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// dist is the folder of the release.
func dist(join ...string) string {
	return filepath.Join(append([]string{cmp.Or(os.Getenv("UNIP_DIST"), "../../dist")}, join...)...)
}

// one is the only file of the release that a pattern names.
func one(t *testing.T, pattern string) string {
	t.Helper()
	all, err := filepath.Glob(dist(pattern))
	if err != nil || len(all) != 1 {
		t.Fatalf("%s: %q, %v; `make release` makes it", pattern, all, err)
	}
	path, err := filepath.Abs(all[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// output runs a program of others.
func output(ctx context.Context, t *testing.T, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return out
}

// unpacked is the folder of the programs for this machine.
func unpacked(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	output(t.Context(), t, nil, "tar", "-xzf", one(t, "unip-*-linux-"+runtime.GOARCH+".tar.gz"), "-C", dir)
	return dir
}

// Every file of the release has its checksum.
func TestSums(t *testing.T) {
	f, err := os.Open(dist("SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	listed := 0
	for s := bufio.NewScanner(f); s.Scan(); listed++ {
		sum, name, _ := strings.Cut(s.Text(), "  ")
		b, err := os.ReadFile(dist(name))
		if err != nil {
			t.Fatal(err)
		}
		if got := sha256.Sum256(b); hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s is another file than SHA256SUMS says", name)
		}
	}
	there := 0
	_ = filepath.WalkDir(dist(), func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			there++
		}
		return err
	})
	if listed != there-1 || listed < 8 {
		t.Errorf("%d files are listed, and %d are there beside the list", listed, there-1)
	}
}

// A second release of the same commit, from another folder, is the same bytes.
func TestSameBytes(t *testing.T) {
	other := os.Getenv("UNIP_DIST_AGAIN")
	if other == "" {
		t.Fatal("UNIP_DIST_AGAIN names the folder of a second release; `make release-check` makes it")
	}
	first, err := os.ReadFile(dist("SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(filepath.Join(other, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Errorf("two releases of one commit differ:\n%s\n%s", first, second)
	}
}

// The program knows its version, its commit and its images, and has the release's unip.yaml in it.
func TestProgram(t *testing.T) {
	unip := filepath.Join(unpacked(t), "unip")
	var v struct{ Version, Commit string }
	if err := json.Unmarshal(output(t.Context(), t, nil, unip, "version", "-o", "json"), &v); err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(one(t, "unip-images-*.tar")), "unip-images-"), ".tar")
	if v.Version != "v"+want || v.Commit == "unknown" {
		t.Errorf("it is %+v, not v%s", v, want)
	}
	whole, err := os.ReadFile(dist("unip.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, output(t.Context(), t, nil, unip, "install", "-o", "yaml"), whole)
	module := []byte(`
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: greeter, namespace: pu-ann-pa-hello}
spec:
  image: {existingImageName: 'registry.example/ann/hello:v1'}
  mlService: {inference: 'hello.serve:greet'}
`)
	objects := string(output(t.Context(), t, module, unip, "translate", "-f", "-"))
	if strings.Contains(objects, "ko://") || !strings.Contains(objects, "/inference@sha256:") {
		t.Errorf("a module of the release needs ko, or has no image by digest:\n%s", objects)
	}
}

// What the images and programs are made of is listed for each.
func TestLists(t *testing.T) {
	all, err := filepath.Glob(dist("sbom", "*.json"))
	if err != nil || len(all) < 6 {
		t.Fatalf("%q, %v", all, err)
	}
	for _, name := range all {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if base := filepath.Base(name); strings.Contains(base, "index") {
			continue // of an image for several platforms, which has no modules of its own
		}
		if !strings.Contains(string(b), "pkg:golang/k8s.io/") && !strings.Contains(string(b), "pkg:golang/") {
			t.Errorf("%s lists no module", name)
		}
	}
}

// documents are the objects of YAML, each as one text, in an order of their own.
func documents(t *testing.T, text []byte) []string {
	t.Helper()
	var all []string
	for document := range strings.SplitSeq("\n"+string(text), "\n---") {
		var v map[string]any
		if err := yaml.Unmarshal([]byte(document), &v); err != nil {
			t.Fatal(err)
		}
		if len(v) == 0 {
			continue
		}
		b, err := yaml.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	slices.Sort(all)
	return all
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	a, b := documents(t, got), documents(t, want)
	if len(a) != len(b) || len(a) < 10 {
		t.Fatalf("%d objects, not %d", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("an object is\n%s\nand not\n%s", a[i], b[i])
		}
	}
}

// The chart is sound, renders unip.yaml with its own values, and follows others.
func TestChart(t *testing.T) {
	helm := os.Getenv("UNIP_HELM")
	if helm == "" {
		t.Fatal("UNIP_HELM names the program; `make release-check` sets it")
	}
	chart := one(t, "unip-chart-*.tgz")
	output(t.Context(), t, nil, helm, "lint", "--strict", chart)
	render := func(args ...string) []byte {
		// Built from its module it takes an old Kubernetes for granted.
		all := []string{"template", "unip", chart, "--namespace", "unip-system", "--kube-version", "1.36.0"}
		return output(t.Context(), t, nil, helm, append(all, args...)...)
	}
	whole, err := os.ReadFile(dist("unip.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, render(), whole)
	values := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(values, []byte(`
registry: mirror.example/ours
controller: {replicas: 2}
config: {s3: {endpoint: 'https://s3.example.org'}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := string(render("-f", values))
	for _, want := range []string{"image: mirror.example/ours/controller@sha256:", "replicas: 2\n",
		"value: mirror.example/ours/gateway@sha256:", "    s3:\n      endpoint: https://s3.example.org\n"} {
		if !strings.Contains(changed, want) {
			t.Errorf("no %q in\n%s", want, changed)
		}
	}
	// A value that there is not is refused, so that no misspelt one goes unseen.
	out, err := exec.CommandContext(t.Context(), helm, "template", "unip", chart, "--kube-version", "1.36.0",
		"--set", "replica=2").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "replica") {
		t.Errorf("%v: %s", err, out)
	}
}

// The overlay that docs show works on the release's unip.yaml.
func TestOverlay(t *testing.T) {
	kubectl := os.Getenv("UNIP_KUBECTL")
	if kubectl == "" {
		t.Fatal("UNIP_KUBECTL names the program; `make release-check` sets it")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples/install")); err != nil {
		t.Fatal(err)
	}
	whole := output(t.Context(), t, nil, filepath.Join(unpacked(t), "unip"), "install", "-o", "yaml", "--registry",
		"registry.example.org/unip")
	if err := os.WriteFile(filepath.Join(dir, "unip.yaml"), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	got := string(output(t.Context(), t, nil, kubectl, "kustomize", dir))
	for _, want := range []string{"replicas: 2\n", "memory: 512Mi", "image: registry.example.org/unip/controller@sha256:",
		"value: registry.example.org/unip/gateway@sha256:", "value: registry.example.org/unip/inference@sha256:",
		"value: registry.example.org/unip/stage@sha256:", "name: unip-config\n", "endpoint: https://s3.example.org"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
