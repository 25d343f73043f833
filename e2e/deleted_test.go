//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
)

// The end of a module needs no right on its Secrets: with the controller's binding gone first, all
// else goes within a minute, boxes, runs and Secrets included.
func TestDeletedModuleWithoutTheControllersRole(t *testing.T) {
	t.Parallel()
	ns := "pu-e2e-pa-norole"
	m := applyRuns(t, ns, pipelineOf(ns, "brief", "table result", "",
		stage("copy", "table", "result", `cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_RESULT/"`)))
	upload(t, m, "userdata/in/t.csv", "rows\n")
	awaitRun(t, m, start(t, m, "brief", table, ""), runtimev1.Succeeded)
	var secrets corev1.SecretList
	if err := m.List(t.Context(), &secrets, client.InNamespace(ns)); err != nil || len(secrets.Items) < 2 {
		t.Fatalf("%d Secrets before the deletion: %v", len(secrets.Items), err)
	}
	// What is awake would end in its own time, which is not what this is about.
	if err := errors.Join(m.AwaitAsleep(t.Context(), 3*time.Minute),
		m.AwaitGone(t.Context(), 2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Kubectl(t.Context(), "-n", ns, "delete", "rolebinding", "unip-controller"); err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}
	if err := m.Cluster.Delete(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	deleted := time.Now()
	err := live.Await(t.Context(), time.Minute, "the end of the namespace", func(ctx ctx) error {
		err := m.Get(ctx, client.ObjectKeyFromObject(namespace), namespace)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("it is %s: %v", namespace.Status.Phase, namespace.Status.Conditions)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("gone after %s", time.Since(deleted).Round(time.Second))
	admin := adminS3(t, databox.Session{PublicEndpoint: os.Getenv("UNIP_S3_ENDPOINT"), Region: "us-east-1"})
	bucket := databox.UsualBuckets.Box(ns, "userdata")
	if there, err := admin.BucketExists(t.Context(), bucket); err != nil || there {
		t.Errorf("bucket %s exists: %t, %v", bucket, there, err)
	}
}
