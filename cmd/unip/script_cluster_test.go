//go:build integration

package main

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/unip/internal/cluster/clustertest"
	"github.com/unip-knative/unip/eventing/databox/put"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/functions/router/service"
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

// store is a storage that takes what is written by links. Those that are sealed by it name it.
type store struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string]string // by path
}

func newStore(t *testing.T) *store {
	s := &store{objects: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPut || r.URL.Query().Get("signature") != "right" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.objects[r.URL.Path] = string(b)
		w.Header().Set("ETag", `"of-the-store"`)
	}))
	t.Cleanup(s.Close)
	return s
}

// stored is the command of scripts that compares what the store has with a file:
//
//	stored BOX:/PATH FILE
func (s *store) stored(ts *testscript.TestScript, _ bool, args []string) {
	box, key, _ := strings.Cut(args[0], ":")
	s.mu.Lock()
	defer s.mu.Unlock()
	if got, there := s.objects["/"+box+key]; !there || got != ts.ReadFile(args[1]) {
		ts.Fatalf("%s: there %v, %q", args[0], there, got)
	}
}

// answers is the command of scripts that answers requests to write into a box as the controller does,
// from now on: with a link to the store; or with a reason, without one.
//
//	answers NAMESPACE BOX [REASON]
func (s *store) answers(t *testing.T, c *clustertest.Server) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		reason := ""
		if len(args) > 2 {
			reason = args[2]
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for tick := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; {
				if err := s.answer(ctx, c, args[0], args[1], reason); err != nil && ctx.Err() == nil {
					t.Log(err) // somebody else has written; the next look sees that
				}
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		}()
		ts.Defer(func() { cancel(); <-done })
	}
}

func (s *store) answer(ctx context.Context, c *clustertest.Server, namespace, box, reason string) error {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("unified-platform.cs.hse.ru/v1")
	o.SetKind("DataBox")
	if err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: box}, o); err != nil {
		return err
	}
	before, all := o.DeepCopy(), []any{}
	for name, value := range o.GetAnnotations() {
		id, ok := strings.CutPrefix(name, put.Prefix)
		if !ok {
			continue
		}
		answer := map[string]any{"request": id, "expires": time.Now().Add(put.Life).UTC().Format(time.RFC3339)}
		r, err := put.Parse(id, value)
		if err != nil {
			return err
		}
		sealed, err := r.Seal(s.URL + "/" + box + "/" + r.Key + "?signature=right")
		if err != nil {
			return err
		}
		if answer["link"] = base64.StdEncoding.EncodeToString(sealed); reason != "" {
			answer["reason"], answer["message"] = reason, "as the test wants it"
		}
		all = append(all, answer)
	}
	if err := unstructured.SetNestedSlice(o.Object, all, "status", "puts"); err != nil {
		return err
	}
	return c.Status().Patch(ctx, o, client.MergeFrom(before))
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
		"-f", "../../config/300-rbac.yaml", "-f", "../../config/310-roles-for-users.yaml")
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
// Knative and unip. $ANN is the kubeconfig of somebody who
// has no rights but those of everybody, $EDITOR and $VIEWER those of edith and victor.
func TestScriptsOnACluster(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t)
	s3 := httptest.NewServer(http.NotFoundHandler()) // an answer is all that is wanted of it
	t.Cleanup(s3.Close)
	router := httptest.NewServer(service.New(service.Options{Modules: new(service.Modules), MaxCalls: 1}))
	t.Cleanup(router.Close)
	all := commands()
	all["ready"] = ready(t, c)
	storage := newStore(t)
	all["stored"], all["answers"] = storage.stored, storage.answers(t, c)
	env := []string{
		"KUBECONFIG=" + c.Kubeconfig, "PATH=" + os.Getenv("PATH") + string(os.PathListSeparator) + c.Bin,
		releaseVariable + "=1", "S3=" + s3.URL, "ROUTER=" + router.URL,
		"CRDS=" + strings.Join(c.CRDs, ","), "ANN=" + c.User(t, "ann"),
		"EDITOR=" + c.User(t, "edith"), "VIEWER=" + c.User(t, "victor"),
	}
	t.Run("S3", func(t *testing.T) {
		scripts(t, testscript.Params{Files: []string{"testdata/operator/s3.txtar"}, Cmds: all}, env...)
	})
	t.Run("operator", func(t *testing.T) {
		scripts(t, testscript.Params{Files: []string{"testdata/operator/doctor.txtar"}, Cmds: all}, env...)
	})
	t.Run("installer", func(t *testing.T) { // on what the operator's story has left
		scripts(t, testscript.Params{Files: []string{"testdata/operator/install.txtar"}, Cmds: all}, env...)
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
