package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/cmd/unip/internal/command"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
)

// A prefix and another namespace, put on by the real kustomize, keep every reference right: each
// name that an object holds of another one is that of an object that is there, or of one that the
// controller will make.
func TestKustomizeKeepsReferences(t *testing.T) {
	t.Parallel()
	for _, module := range []string{"../../examples/digits/manifests", "testdata/module"} {
		t.Run(filepath.Base(filepath.Dir(module)), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			base := translated(t, module, filepath.Join(dir, "base"))
			overlay := filepath.Join(dir, "overlay")
			write(t, filepath.Join(overlay, "kustomization.yaml"),
				"resources: [../base]\nnamePrefix: stage-\nnamespace: elsewhere\n"+
					"images:\n- {name: registry.localhost:5000/examples/digits, newTag: v2}\n")
			moved := build(t, overlay)
			if len(moved) != len(base) {
				t.Fatalf("%d objects of %d", len(moved), len(base))
			}
			if left := strings.Count(text(t, moved), "/digits:v1"); left > 0 {
				t.Errorf("%d images have kept their tag", left)
			}
			// Undone, it is the base again: nothing was changed that should not be, and every name
			// was changed wherever it stands.
			undo := strings.NewReplacer("stage-", "", "elsewhere", namespaceOf(base), "digits:v2", "digits:v1")
			was := undo.Replace(text(t, moved))
			if diff := cmp.Diff(text(t, base), was); diff != "" {
				t.Errorf("more than names, images and the namespace (-base +moved):\n%s", diff)
			}
			present := map[string]bool{}
			for _, o := range moved {
				present[o.GetKind()+"/"+o.GetName()] = true
				if o.GetKind() == "DataBox" {
					for _, s := range sessions(t, o) {
						present["Secret/"+databox.Access(s.Use).Secret(o.GetName(), s.Object)] = true
					}
				}
			}
			present["Secret/"+names.RunLogs] = true
			// of the controller's own namespace: neither prefixed nor moved
			present["ServiceAccount/"+names.Controller] = true
			found := 0
			for _, o := range moved {
				if ns := o.GetNamespace(); ns != "elsewhere" && o.GetKind() != "Namespace" {
					t.Errorf("%s is in namespace %q", cluster.Name(o), ns)
				}
				for _, r := range references(o) {
					found++
					if !present[r] {
						t.Errorf("%s refers to %s, which is not there", cluster.Name(o), r)
					}
				}
			}
			if found < 20 {
				t.Errorf("only %d references were looked at", found)
			}
		})
	}
}

// sessions are those of a box, each of which becomes a Secret.
func sessions(t *testing.T, box *cluster.Object) []platformv1.Session {
	t.Helper()
	var b platformv1.DataBox
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(box.Object, &b); err != nil {
		t.Fatal(err)
	}
	return b.Spec.Sessions
}

// translated writes a module's base and reads its objects back through kustomize.
func translated(t *testing.T, module, dir string) []*cluster.Object {
	t.Helper()
	c := command.New(release.Build{})
	c.SetArgs([]string{"translate", "-f", module, "-o", "dir=" + dir})
	c.SetErr(io.Discard)
	if err := c.Execute(); err != nil {
		t.Fatal(err)
	}
	return build(t, dir)
}

func build(t *testing.T, dir string) []*cluster.Object {
	t.Helper()
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	all, err := cluster.ParseYAML(b)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func text(t *testing.T, all []*cluster.Object) string {
	t.Helper()
	var b bytes.Buffer
	for _, o := range all {
		x, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		b.Write(x)
	}
	return b.String()
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func namespaceOf(all []*cluster.Object) string {
	i := slices.IndexFunc(all, func(o *cluster.Object) bool { return o.GetKind() == "Namespace" })
	return all[i].GetName()
}

// references are the names that an object holds of others, as Kind/name. The fields are those of
// Kubernetes' and Knative's APIs and of ours, wherever they stand.
func references(o *cluster.Object) []string {
	var all []string
	add := func(kind string, v any) {
		if s, ok := v.(string); ok && s != "" {
			all = append(all, kind+"/"+s)
		}
	}
	name := func(v any) any { m, _ := v.(map[string]any); return m["name"] }
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for key, x := range v {
				switch key {
				case "serviceAccountName":
					add("ServiceAccount", x)
				case "secretName":
					add("Secret", x)
				case "secret", "secretRef":
					add("Secret", name(x))
				case "configMap", "configMapRef":
					add("ConfigMap", name(x))
				case "broker":
					add("Broker", x)
				case "box", "defaultBox":
					add("DataBox", x)
				case "pipeline", "continueWith":
					add("Pipeline", x)
				case "ref":
					r, _ := x.(map[string]any)
					kind, _ := r["kind"].(string)
					add(kind, r["name"])
				case "roleRef":
					add("Role", name(x))
				}
				walk(x)
			}
		}
	}
	spec, _, _ := unstructured.NestedMap(o.Object, "spec")
	walk(spec)
	if r, ok := o.Object["roleRef"]; ok {
		walk(map[string]any{"roleRef": r})
		for _, s := range o.Object["subjects"].([]any) {
			add("ServiceAccount", name(s))
		}
	}
	return all
}
