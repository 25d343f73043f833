//go:build e2e

package release

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

// helmed is an API server, in which nothing becomes ready, with the programs that speak to it.
type helmed struct {
	helm, kubectl, chart string
	env                  []string
}

func newHelmed(t *testing.T) helmed {
	t.Helper()
	h := helmed{helm: os.Getenv("UNIP_HELM"), kubectl: os.Getenv("UNIP_KUBECTL"), chart: one(t, "unip-chart-*.tgz")}
	if h.helm == "" || h.kubectl == "" {
		t.Fatal("UNIP_HELM and UNIP_KUBECTL name the programs; `make release-check` sets them")
	}
	logf.SetLogger(logr.Discard())
	server := &envtest.Environment{BinaryAssetsDirectory: filepath.Dir(h.kubectl)}
	if _, err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	user, err := server.AddUser(envtest.User{Name: "operator", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := user.KubeConfig()
	dir := t.TempDir()
	file := filepath.Join(dir, "kubeconfig")
	if err := errors.Join(err, os.WriteFile(file, kubeconfig, 0o600)); err != nil {
		t.Fatal(err)
	}
	h.env = append(os.Environ(), "KUBECONFIG="+file, "HELM_CACHE_HOME="+dir, "HELM_CONFIG_HOME="+dir,
		"HELM_DATA_HOME="+dir)
	return h
}

func (h helmed) try(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = h.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (h helmed) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := h.try(t.Context(), name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// install is the second command of docs/installing.md.
func (h helmed) install(t *testing.T) {
	t.Helper()
	said := h.run(t, h.helm, "install", "unip", h.chart, "--namespace", system, "--take-ownership")
	if !strings.Contains(said, "unip-s3") {
		t.Errorf("nothing is said of the Secret:\n%s", said)
	}
}

// objects are all of the release, with the label of who has made them.
func (h helmed) objects(t *testing.T) int {
	t.Helper()
	var list struct {
		Items []struct {
			Kind     string
			Metadata struct {
				Name        string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	out := h.run(t, h.kubectl, "get", "-f", dist("unip.yaml"), "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Items {
		if o.Metadata.Labels["app.kubernetes.io/managed-by"] != "Helm" ||
			o.Metadata.Annotations["meta.helm.sh/release-name"] != "unip" {
			t.Errorf("%s %s is not Helm's: %v", o.Kind, o.Metadata.Name, o.Metadata)
		}
	}
	return len(list.Items)
}

// An API server takes what Helm makes of the chart, as an operator calls it: on a new cluster, with other
// values later, and again without them.
func TestHelmInstalls(t *testing.T) {
	h := newHelmed(t)
	h.run(t, h.kubectl, "create", "namespace", system)
	h.install(t)
	if n := h.objects(t); n < 20 {
		t.Errorf("%d objects", n)
	}
	values := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(values, []byte("controller: {replicas: 2}\nconfig: {s3: {region: eu}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.run(t, h.helm, "upgrade", "unip", h.chart, "--namespace", system, "-f", values)
	look := func(what, path string) string {
		return h.run(t, h.kubectl, "-n", system, "get", what, "-o", "jsonpath="+path)
	}
	if n := look("deploy/unip-controller", "{.spec.replicas}"); n != "2" {
		t.Errorf("%s replicas", n)
	}
	if text := look("configmap/unip-config", `{.data.unip\.yaml}`); !strings.Contains(text, "region: eu") {
		t.Errorf("unip.yaml is %q", text)
	}
	h.run(t, h.helm, "rollback", "unip", "1", "--namespace", system)
	if n := look("deploy/unip-controller", "{.spec.replicas}"); n != "1" {
		t.Errorf("%s replicas after going back", n)
	}
	kept := h.run(t, h.kubectl, "get", "namespace", system, "-o", "jsonpath={.metadata.labels}")
	if !strings.Contains(kept, `"pod-security.kubernetes.io/enforce":"restricted"`) {
		t.Errorf("labels of the namespace: %s", kept)
	}

	// Boxes, pipelines and runs stay when it is taken away.
	h.run(t, h.helm, "uninstall", "unip", "--namespace", system)
	if left := h.run(t, h.kubectl, "get", "crd", "-o", "name"); strings.Count(left, "unified-platform") < 4 {
		t.Errorf("of the CRDs are left: %s", left)
	}
	if left := h.run(t, h.kubectl, "get", "clusterrole", "-o", "name"); strings.Contains(left, "unip-controller") {
		t.Errorf("there is still %s", left)
	}
}

// Helm takes over what kubectl has installed, and without its flag it says whose that is.
func TestHelmTakesOver(t *testing.T) {
	h := newHelmed(t)
	h.run(t, h.kubectl, "apply", "-f", dist("unip.yaml"))
	out, err := h.try(t.Context(), h.helm, "install", "unip", h.chart, "--namespace", system)
	if err == nil || !strings.Contains(out, "ownership") {
		t.Errorf("without --take-ownership: %v: %s", err, out)
	}
	h.install(t)
	h.objects(t)
}
