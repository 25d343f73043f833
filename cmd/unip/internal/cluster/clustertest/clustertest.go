//go:build integration

// Package clustertest gives tests a real API server of their own, on loopback, that ends with the
// test: etcd, kube-apiserver, and of kube-controller-manager what ends namespaces and aggregates
// roles. No controller of Knative or unip runs there, so nothing becomes ready by itself: Ready says
// it in their place.
//
// The programs are those in the folder that KUBEBUILDER_ASSETS names (`make test-integration` sets
// it).
package clustertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

// Patience is how long anything may take on a busy machine.
const Patience = time.Minute

// Server is a running API server.
type Server struct {
	client.Client
	// Kubeconfig is the file of a user who may do everything.
	Kubeconfig string
	// Bin is the folder with kubectl.
	Bin string
	// CRDs are the files of Knative's and unip's resource definitions, as far as modules need them.
	CRDs []string

	config *rest.Config
	env    *envtest.Environment
}

// Start starts a server that knows no resources but Kubernetes' own.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{Bin: os.Getenv("KUBEBUILDER_ASSETS")}
	if s.Bin == "" {
		t.Fatal("KUBEBUILDER_ASSETS does not name a folder with etcd, kube-apiserver, kube-controller-manager " +
			"and kubectl; `make test-integration` sets it, or: export KUBEBUILDER_ASSETS=$(bin/cluster bin kube)")
	}
	var err error
	if s.CRDs, err = definitions(t.Context()); err != nil {
		t.Fatal(err)
	}
	logf.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(t.Output(), nil)))
	env := &envtest.Environment{}
	if s.config, err = env.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	s.env = env
	s.Kubeconfig = s.User(t, "operator", "system:masters")
	if s.Client, err = client.New(s.config, client.Options{}); err != nil {
		t.Fatal(err)
	}
	s.control(t)
	return s
}

// User makes somebody who may log in, and gives the kubeconfig.
func (s *Server) User(t testing.TB, name string, groups ...string) string {
	t.Helper()
	user, err := s.env.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := user.KubeConfig()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := errors.Join(err, os.WriteFile(file, kubeconfig, 0o600)); err != nil {
		t.Fatal(err)
	}
	return file
}

// definitions finds the files of the CRDs in the modules that go.mod selects.
func definitions(ctx context.Context) ([]string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/unip-knative/unip",
		"knative.dev/serving", "knative.dev/eventing", "knative.dev/networking")
	out, err := list.Output()
	dirs := strings.Fields(string(out))
	if err != nil || len(dirs) != 4 {
		return nil, fmt.Errorf("go list -m: %q: %w", out, err)
	}
	var all []string
	for i, names := range [][]string{
		{"config/200-databox.yaml", "config/201-runtime.yaml"},
		{"config/core/300-resources/service.yaml", "config/core/300-resources/revision.yaml"},
		{"config/core/resources/broker.yaml", "config/core/resources/trigger.yaml",
			"config/core/resources/pingsource.yaml"},
		{"config/ingress.yaml"},
	} {
		for _, name := range names {
			all = append(all, filepath.Join(dirs[i], filepath.FromSlash(name)))
		}
	}
	return all, nil
}

// control runs the controllers without which a deleted namespace stays for ever, and the roles edit and
// view know nothing of others' resources.
func (s *Server) control(t testing.TB) {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.Bin, "kube-controller-manager"), "--kubeconfig="+s.Kubeconfig,
		"--controllers=namespace-controller,clusterrole-aggregation-controller", "--leader-elect=false", "--secure-port=0",
		"--kube-api-qps=200", "--kube-api-burst=400")
	name := filepath.Join(t.TempDir(), "kube-controller-manager.log")
	log, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var how error // written before ended is closed
	ended := make(chan struct{})
	go func() {
		how = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		select {
		case <-ended:
			b, _ := os.ReadFile(name)
			t.Errorf("kube-controller-manager ended by itself: %v\n%s", how, b)
		default:
			_ = cmd.Process.Kill()
			<-ended
		}
	})
}

// Install makes the server know Knative's and unip's resources.
func (s *Server) Install(t testing.TB) {
	t.Helper()
	if _, err := envtest.InstallCRDs(s.config, envtest.CRDInstallOptions{Paths: s.CRDs, ErrorIfPathMissing: true,
		MaxTime: Patience}); err != nil {
		t.Fatal(err)
	}
}

// Ready writes into the status of an object, as soon as it is there, what its controller would:
// that it is ready; or with a reason, that it is not. The object is named as unip does,
// kind.group/name.
func (s *Server) Ready(ctx context.Context, namespace, object, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	kind, name, _ := strings.Cut(object, "/")
	gvk, err := s.RESTMapper().KindFor(schema.ParseGroupResource(kind).WithVersion(""))
	if err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = s.ready(ctx, gvk, client.ObjectKey{Namespace: namespace, Name: name}, reason); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s in %s: %w", object, namespace, err)
		case <-tick.C:
		}
	}
}

func (s *Server) ready(ctx context.Context, gvk schema.GroupVersionKind, key client.ObjectKey, reason string) error {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(gvk)
	if err := s.Get(ctx, key, o); err != nil {
		return err
	}
	ready := map[string]any{"type": "Ready", "status": "True",
		"lastTransitionTime": time.Now().UTC().Format(time.RFC3339), "reason": "Ready", "message": ""}
	if reason != "" {
		ready["status"], ready["reason"], ready["message"] = "False", reason, "as the test wants it"
	}
	status := map[string]any{"observedGeneration": o.GetGeneration(), "conditions": []any{ready}}
	if gvk.Group == "serving.knative.dev" {
		status["url"] = "http://" + key.Name + "." + key.Namespace + ".modules.example.org"
	}
	o.Object["status"] = status
	return s.Status().Update(ctx, o)
}
