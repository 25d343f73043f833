package module_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
)

// manifests are the inputs of the golden cases.
func manifests(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../testdata/*/in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden cases: %v", err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		if all[filepath.Base(filepath.Dir(f))], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func read(data []byte) (*manifest.Module, manifest.Diagnostics) {
	return manifest.Read([]manifest.File{{Name: "in.yaml", Data: data}})
}

// exported compares fields that are not exported, too.
var exported = cmp.Exporter(func(reflect.Type) bool { return true })

// A decision changes nothing of what it decides: neither the manifests nor the findings of reading
// them.
func TestNothingIsChanged(t *testing.T) {
	t.Parallel()
	for name, data := range manifests(t) {
		m, found := read(data)
		before, foundBefore := read(data)
		for _, lenient := range []bool{false, true} {
			module.Decide(m, found, installation.Default(), module.Options{Lenient: lenient})
		}
		if diff := cmp.Diff(before, m, exported); diff != "" {
			t.Errorf("%s: the manifests (-before +after):\n%s", name, diff)
		}
		if diff := cmp.Diff(foundBefore, found, exported); diff != "" {
			t.Errorf("%s: the findings (-before +after):\n%s", name, diff)
		}
	}
}

// checkDecision holds a decision to what holds of all: findings come sorted and with their file,
// and there is a module exactly when no finding is an error.
func checkDecision(t *testing.T, data []byte) {
	t.Helper()
	m, found := read(data)
	decided, found := module.Decide(m, found, installation.Default(), module.Options{})
	if found.Failed() != (decided == nil) {
		t.Errorf("module %v with %v", decided, found)
	}
	for i, d := range found {
		if d.File == "" || d.Message == "" || i > 0 && found[i-1].Position.Compare(d.Position) > 0 {
			t.Errorf("finding %d: %+v", i, d)
		}
	}
}

// Decisions are made of wrong manifests, too, for their findings: here of the golden cases, each
// without one of its lines, and each with nothing behind one of its keys.
func TestWrongManifestsAreDecided(t *testing.T) {
	t.Parallel()
	for _, data := range manifests(t) {
		lines := bytes.Split(data, []byte("\n"))
		if len(lines) > 200 {
			continue // of what is too large, one case is enough
		}
		for i, line := range lines {
			key, _, _ := bytes.Cut(line, []byte(": "))
			for _, other := range [][]byte{nil, append(slices.Clone(key), ':'),
				bytes.Replace(line, []byte("{name"), []byte("{x"), 1)} {
				changed := slices.Clone(lines)
				changed[i] = other
				checkDecision(t, bytes.Join(changed, []byte("\n")))
			}
		}
	}
}

func FuzzDecide(f *testing.F) {
	for _, data := range manifests(f) {
		f.Add(data)
	}
	f.Fuzz(checkDecision)
}

// What a component takes from Secrets and ConfigMaps of the manifests is found, and nothing else.
func TestValues(t *testing.T) {
	t.Parallel()
	m, found := read([]byte(`apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: here, namespace: ns}
data: {A: "eA=="}
stringData: {B: y}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: elsewhere, namespace: ns}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: here, namespace: ns}
data: {C: z}
---
apiVersion: v1
kind: Secret
metadata: {name: kubernetes, namespace: ns}
data: {D: "eA=="}
stringData: {E: y}
`))
	decided, found := module.Decide(m, found, installation.Default(), module.Options{})
	if decided == nil {
		t.Fatal(found)
	}
	for _, c := range []struct {
		kind, name string
		want       map[string]string
	}{
		{"Secret", "here", map[string]string{"A": "x", "B": "y"}},
		{"ConfigMap", "here", map[string]string{"C": "z"}},
		{"Secret", "kubernetes", map[string]string{"D": "x", "E": "y"}},
		{"ConfigMap", "kubernetes", nil},
		{"Secret", "elsewhere", nil},
		{"Secret", "nowhere", nil},
	} {
		got, ok := decided.Values(c.kind, c.name)
		if diff := cmp.Diff(c.want, got); diff != "" || ok != (c.want != nil) {
			t.Errorf("%s %s: %v (-want +got):\n%s", c.kind, c.name, ok, diff)
		}
	}
}
