//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/e2e/live"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
)

var inNamespace = regexp.MustCompile(`namespace: pu-[a-z0-9-]+`)

// What is generated is ordinary: the API server, Knative's webhooks (default feature flags) and our
// CRDs accept every object of a module in a server-side dry run.
func TestServerSideDryRun(t *testing.T) {
	t.Parallel()
	// Serving ships it with an example only; Eventing's lists its defaults, which the cluster takes
	// as they are
	var features corev1.ConfigMap
	if err := cluster.Get(t.Context(), types.NamespacedName{Namespace: "knative-serving", Name: "config-features"},
		&features); err != nil {
		t.Fatal(err)
	}
	for k, v := range features.Data {
		if k != "_example" {
			t.Errorf("config-features sets %s: %s; the cluster must run with Knative's defaults", k, v)
		}
	}
	m := cluster.Module("pu-e2e-pa-dryrun")
	t.Cleanup(func() {
		if err := m.Delete(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if _, err := m.Kubectl(t.Context(), "create", "namespace", m.Namespace); err != nil {
		t.Fatal(err)
	}
	dryRun := func(t *testing.T, objects []byte) {
		// The webhooks try a pod of each Service, with its ServiceAccount: namespace and accounts
		// are made, the rest is only tried.
		var first, rest []string
		for doc := range strings.SplitSeq(string(objects), "\n---\n") {
			doc = inNamespace.ReplaceAllString(doc, "namespace: "+m.Namespace)
			switch {
			case strings.TrimSpace(doc) == "": // a module of which nothing runs
			case strings.Contains("\n"+doc, "\nkind: Namespace\n"):
			case strings.Contains("\n"+doc, "\napiVersion: example.org/"):
				// carried through as it is written; no cluster knows it
			case strings.Contains("\n"+doc, "\nkind: ServiceAccount\n"):
				first = append(first, doc)
			default:
				rest = append(rest, doc)
			}
		}
		for _, step := range []struct {
			docs  []string
			flags []string
		}{{first, nil}, {rest, []string{"--dry-run=server"}}} {
			if len(step.docs) == 0 {
				continue
			}
			args := append([]string{"apply", "--server-side", "--force-conflicts", "--field-manager=unip-dry-run", "-f",
				"-"}, step.flags...)
			out, err := m.Run(t.Context(), []byte(strings.Join(step.docs, "\n---\n")), "kubectl", args...)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s", out)
		}
	}
	for name, path := range map[string]string{
		"examples-digits":    "examples/digits/manifests",
		"examples-drift":     "examples/drift/manifests",
		"examples-herbarium": "examples/herbarium/manifests",
		"examples-leaves":    "examples/leaves/manifests",
		"echo": write(t, "pu-e2e-pa-dryrun", component{Image: echoImage, Inference: "echo:model_text",
			Model: "model.txt"}),
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := m.Translate(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			resolved, err := m.Run(t.Context(), objects, os.Getenv("CLUSTER"), "exec", "--", "ko", "resolve",
				"--sbom=none", "-f", "-")
			if err != nil {
				t.Fatal(err)
			}
			dryRun(t, resolved)
		})
	}
	golden, err := filepath.Glob(filepath.Join(m.Root, "translate/testdata/*/out.yaml"))
	if err != nil || len(golden) < 20 {
		t.Fatalf("%d golden outputs: %v", len(golden), err)
	}
	for _, file := range golden {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			objects, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dryRun(t, bytes.ReplaceAll(objects, []byte("ko://example.org/"), []byte("registry.example/unip/")))
		})
	}
}

// Deleting a module's namespace leaves nothing behind: no bucket either, where the installation
// says so.
func TestDeletedModuleLeavesNothing(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-deleted", echo("echo:echo"))
	awaitReady(t, m)
	if err := m.Put(t.Context(), "weights", "a/b.txt", []byte("x")); err != nil {
		t.Fatal(err)
	}
	s3, session, err := m.Bucket(t.Context(), "weights")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s3.StatObject(t.Context(), session.Bucket, "a/b.txt", minio.StatObjectOptions{}); err != nil {
		t.Fatalf("the object is not there before the deletion: %v", err)
	}
	// Its pods hear that they are to end: none lives on for its grace period.
	if _, err := m.Kubectl(t.Context(), "-n", m.Namespace, "delete", "ksvc", "--all"); err != nil {
		t.Fatal(err)
	}
	if err := m.AwaitGone(t.Context(), 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := m.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	admin := adminS3(t, session)
	exists, err := admin.BucketExists(t.Context(), session.Bucket)
	if err != nil || exists {
		t.Errorf("bucket %s exists: %t, %v", session.Bucket, exists, err)
	}
	for _, kind := range []string{"ksvc", "databoxes", "pods", "secrets", "configmaps", "roles", "rolebindings",
		"triggers", "brokers"} {
		out, err := m.Kubectl(t.Context(), "-n", m.Namespace, "get", kind, "-o", "name", "--ignore-not-found")
		if err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("%s left behind: %s %v", kind, out, err)
		}
	}
	all, err := m.Kubectl(t.Context(), "get", "clusterroles,clusterrolebindings,namespaces", "-o", "name")
	if err != nil || strings.Contains(all, m.Namespace) {
		t.Errorf("cluster-scoped objects left behind: %v", err)
	}
}

// adminS3 is the storage with the installation's own key, which sees all buckets.
func adminS3(t *testing.T, s databox.Session) *minio.Client {
	t.Helper()
	var secret corev1.Secret
	if err := cluster.Get(t.Context(), types.NamespacedName{Namespace: names.SystemNamespace, Name: "unip-s3"},
		&secret); err != nil {
		t.Fatal(err)
	}
	s.AccessKeyID, s.SecretAccessKey, s.SessionToken = string(secret.Data["accessKeyId"]),
		string(secret.Data["secretAccessKey"]), ""
	c, err := live.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
