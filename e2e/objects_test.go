//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/e2e/live"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/names"
)

// What is generated is ordinary: the API server, Knative's webhooks (default feature flags) and our CRDs accept every object of a module in a server-side dry run.
func TestServerSideDryRun(t *testing.T) {
	for name, flags := range map[string]string{"knative-serving": "config-features", "knative-eventing": "config-features"} {
		var c corev1.ConfigMap
		if err := cluster.Get(t.Context(), types.NamespacedName{Namespace: name, Name: flags}, &c); err != nil {
			t.Fatal(err)
		}
		for k, v := range c.Data {
			if k != "_example" {
				t.Errorf("%s/%s sets %s: %s; the cluster must run with Knative's defaults", name, flags, k, v)
			}
		}
	}
	for name, path := range map[string]string{
		"examples-digits": "examples/digits/manifests",
		"echo":            write(t, "pu-e2e-pa-dryrun", component{Image: echoImage, Inference: "echo:model_text", Model: "model.txt"}),
	} {
		t.Run(name, func(t *testing.T) {
			m := cluster.Module("pu-e2e-pa-dryrun")
			objects, err := m.Translate(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			resolved, err := m.Run(t.Context(), objects, os.Getenv("CLUSTER"), "exec", "--", "ko", "resolve", "--sbom=none", "-f", "-")
			if err != nil {
				t.Fatal(err)
			}
			// Objects cannot be tried in a namespace that does not exist: all but the Namespace go to one that does.
			var rest []string
			for doc := range strings.SplitSeq(string(resolved), "\n---\n") {
				if !strings.Contains("\n"+doc, "\nkind: Namespace\n") {
					rest = append(rest, strings.ReplaceAll(strings.ReplaceAll(doc, "namespace: pu-ann-pa-digits", "namespace: default"),
						"namespace: pu-e2e-pa-dryrun", "namespace: default"))
				}
			}
			out, err := m.Run(t.Context(), []byte(strings.Join(rest, "\n---\n")),
				"kubectl", "apply", "--server-side", "--dry-run=server", "--field-manager=unip-dry-run", "-f", "-")
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s", out)
		})
	}
}

// Deleting a module's namespace leaves nothing behind: no bucket either, where the installation says so.
func TestDeletedModuleLeavesNothing(t *testing.T) {
	m := apply(t, "pu-e2e-pa-deleted", echo("echo:echo"))
	awaitReady(t, m)
	if err := m.Put(t.Context(), "weights", "a/b.txt", []byte("x")); err != nil {
		t.Fatal(err)
	}
	s3, session, err := m.Box(t.Context(), "weights", names.Read)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s3.StatObject(t.Context(), session.Bucket, "a/b.txt", minio.StatObjectOptions{}); err != nil {
		t.Fatalf("the object is not there before the deletion: %v", err)
	}
	if err := m.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	admin := adminS3(t, session)
	exists, err := admin.BucketExists(t.Context(), session.Bucket)
	if err != nil || exists {
		t.Errorf("bucket %s exists: %t, %v", session.Bucket, exists, err)
	}
	for _, kind := range []string{"ksvc", "databoxes", "pods", "secrets", "configmaps", "roles", "rolebindings", "triggers", "brokers"} {
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
	if err := cluster.Get(t.Context(), types.NamespacedName{Namespace: "unip-system", Name: "unip-s3"}, &secret); err != nil {
		t.Fatal(err)
	}
	s.AccessKeyID, s.SecretAccessKey, s.SessionToken = string(secret.Data["accessKeyId"]), string(secret.Data["secretAccessKey"]), ""
	c, err := live.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
