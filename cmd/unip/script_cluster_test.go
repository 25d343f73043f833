//go:build integration

package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/unip/internal/cluster/clustertest"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
)

// ready is the command of scripts that does the work of the controllers that are not there:
//
//	ready [-not REASON] NAMESPACE KIND/NAME...
func ready(t *testing.T, c *clustertest.Server) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		reason := ""
		if args[0] == "-not" {
			reason, args = args[1], args[2:]
		}
		for _, object := range args[1:] {
			ts.Check(c.Ready(t.Context(), args[0], object, reason))
		}
	}
}

// The installation of the authors' stories.
const (
	installedInference = "registry.example/unip/inference@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	installedGateway   = "registry.example/unip/gateway@sha256:2222222222222222222222222222222222222222222222222222222222222222"
	installedWorker    = "# the worker of the installation\n"
	installedConfig    = "gateway: {maxScale: 7}\n"
)

// install brings what an installation of unip has for authors.
func install(t *testing.T, c *clustertest.Server) {
	t.Helper()
	c.Install(t)
	kubectl := exec.CommandContext(t.Context(), filepath.Join(c.Bin, "kubectl"), "--kubeconfig="+c.Kubeconfig, "apply",
		"--server-side", "--force-conflicts", "-f", "../../config/100-namespace.yaml",
		"-f", "../../config/300-rbac.yaml")
	if out, err := kubectl.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	release := installation.Release{Inference: installedInference, Gateway: installedGateway,
		Worker: map[string][]byte{"worker.py": []byte(installedWorker)}}
	for name, data := range map[string]map[string]string{
		names.Release: release.Data(), names.Config: {names.ConfigFile: installedConfig},
	} {
		m := corev1ac.ConfigMap(name, names.SystemNamespace).WithData(data)
		if err := c.Apply(t.Context(), m, client.FieldOwner("test"), client.ForceOwnership); err != nil {
			t.Fatal(err)
		}
	}
}

// Stories of modules on a cluster: a real API server and kubectl, no controllers. Each has a
// namespace of its own. The first, of an operator, begins on a cluster that knows nothing of
// Knative and unip. $ANN is the kubeconfig of somebody who has no rights but those of everybody.
func TestScriptsOnACluster(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t)
	s3 := httptest.NewServer(http.NotFoundHandler()) // an answer is all that is wanted of it
	t.Cleanup(s3.Close)
	all := commands()
	all["ready"] = ready(t, c)
	env := []string{
		"KUBECONFIG=" + c.Kubeconfig, "PATH=" + os.Getenv("PATH") + string(os.PathListSeparator) + c.Bin,
		releaseVariable + "=1", "S3=" + s3.URL, "CRDS=" + strings.Join(c.CRDs, ","), "ANN=" + c.User(t, "ann"),
	}
	t.Run("operator", func(t *testing.T) {
		scripts(t, testscript.Params{Files: []string{"testdata/operator/doctor.txtar"}, Cmds: all}, env...)
	})
	install(t, c)
	t.Run("author", func(t *testing.T) {
		scripts(t, testscript.Params{Dir: "testdata/cluster", Cmds: all}, env...)
	})
}

// Stories of images, with a container engine of this machine: `make test-integration` installs it.
func TestScriptsWithAnEngine(t *testing.T) {
	t.Parallel()
	scripts(t, testscript.Params{Dir: "testdata/images", Cmds: commands()}, "PATH="+os.Getenv("PATH"))
}
