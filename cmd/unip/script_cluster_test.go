//go:build integration

package main

import (
	"io"
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
	t.Run("terminal", func(t *testing.T) {
		t.Parallel()
		typePasswords(t, env)
	})
	t.Run("author", func(t *testing.T) {
		scripts(t, testscript.Params{Dir: "testdata/cluster", Cmds: all}, env...)
	})
}

// Stories of images, with a container engine of this machine: `make test-integration` installs it.
func TestScriptsWithAnEngine(t *testing.T) {
	t.Parallel()
	scripts(t, testscript.Params{Dir: "testdata/images", Cmds: commands()}, "PATH="+os.Getenv("PATH"))
}

// typedModule is a module with an API for users of HTTP Basic.
const typedModule = `
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: userdata, namespace: pu-ann-pa-typed}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: files, namespace: pu-ann-pa-typed}
spec:
  published: true
  files: {}
  restfulApi: {auth: {basic: {credentials: typed-users}}}
---
apiVersion: v1
kind: Secret
metadata: {name: typed-users, namespace: pu-ann-pa-typed}
stringData: {ann: secret-of-ann}
`

// A password is typed twice, and the terminal shows nothing of it; Ctrl-C leaves no user and a terminal
// that shows what is typed.
func typePasswords(t *testing.T, env []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "module.yaml")
	if err := os.WriteFile(file, []byte(typedModule), 0o600); err != nil {
		t.Fatal(err)
	}
	apply := exec.CommandContext(t.Context(), "unip", "apply", "-f", file, "--wait=false")
	apply.Env = append(os.Environ(), env...)
	if out, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const secret = "typed-by-boris"
	for name, c := range map[string]struct {
		typed []string
		code  int
		said  string
	}{
		"twice the same": {[]string{secret + "\n", secret + "\n"}, 0, "user boris added to Secret typed-users"},
		"two others":     {[]string{secret + "\n", "typed-by-carl\n"}, 1, "the two differ"},
		"nothing":        {[]string{"\n", "\n"}, 1, "the password is empty"},
	} {
		x := openTerminalWith(t, env, 80, 24, "users", "add", "boris", "-n", "pu-ann-pa-typed")
		for i, prompt := range []string{"password of boris: ", "password of boris, again: "} {
			x.until(t, prompt)
			x.untilEcho(t, false)
			if _, err := io.WriteString(x, c.typed[i]); err != nil {
				t.Fatal(err)
			}
		}
		code, rest := x.exit(t)
		if code != c.code || !strings.Contains(rest, c.said) || strings.Contains(rest, "typed-by") {
			t.Errorf("%s: exit code %d: %q", name, code, rest)
		}
		if c.code == 0 {
			remove := exec.CommandContext(t.Context(), "unip", "users", "rm", "boris", "-n", "pu-ann-pa-typed")
			remove.Env = apply.Env
			if out, err := remove.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
	}
	x := openTerminalWith(t, env, 80, 24, "users", "add", "boris", "-n", "pu-ann-pa-typed")
	x.until(t, "password of boris: ")
	x.untilEcho(t, false)
	if _, err := io.WriteString(x, "typed-by\x03"); err != nil {
		t.Fatal(err)
	}
	x.untilEcho(t, true)
	if code, rest := x.exit(t); code != 130 || strings.Contains(rest, "typed-by") {
		t.Errorf("Ctrl-C: exit code %d: %q", code, rest)
	}
}
