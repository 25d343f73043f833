//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
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

type ctx = context.Context

// The user's code finds no S3 key, no key of the module and no token of Kubernetes, neither in its
// environment nor in its files.
func TestNothingSecretInTheUsersContainer(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-secrets", component{Image: echoImage, Inference: "echo:surroundings", Model: "model.txt"})
	awaitReady(t, m)
	if err := m.Put(t.Context(), "weights", "model.txt", []byte("x")); err != nil {
		t.Fatal(err)
	}
	var a *live.Answer
	err := live.Await(t.Context(), 30*time.Second, "calling", func(ctx ctx) (err error) {
		if a, err = m.Predict(ctx, "model", user, password); err == nil && a.Status != http.StatusOK {
			err = fmt.Errorf("%d %s", a.Status, a.Body)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var env, files map[string]string
	if err := a.Output("env", &env); err != nil {
		t.Fatal(err)
	}
	if err := a.Output("files", &files); err != nil {
		t.Fatal(err)
	}
	if env["GREETING"] != "hello" {
		t.Error("the component's own environment is missing: this test does not see what it should")
	}
	for path := range files {
		if strings.Contains(path, "serviceaccount") || strings.Contains(path, "session") ||
			strings.Contains(path, "key") {
			t.Errorf("the user's container can read %s", path)
		}
	}
	var secrets corev1.SecretList
	if err := m.List(t.Context(), &secrets); err != nil {
		t.Fatal(err)
	}
	all := string(a.Body)
	for _, s := range secrets.Items {
		if s.Namespace != m.Namespace && s.Namespace != names.SystemNamespace {
			continue
		}
		for k, v := range s.Data {
			if k == databox.SessionKey {
				session, err := databox.ParseSession(v)
				if err != nil {
					t.Fatal(err)
				}
				v = []byte(session.SecretAccessKey)
			}
			if len(v) >= 8 && strings.Contains(all, string(v)) {
				t.Errorf("the user's container can read %s of Secret %s/%s", k, s.Namespace, s.Name)
			}
		}
	}
}

// The credentials of one box open that box only, and of it what their use is for.
func TestBoxesAreApart(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-boxes", component{Image: echoImage, Inference: "echo:model_text", Model: "model.txt"})
	awaitReady(t, m)
	for box, key := range map[string]string{"other": "secret.txt", "weights": "model.txt.bak"} {
		if err := m.Put(t.Context(), box, key, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	_, other, err := m.Bucket(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	for use, object := range map[databox.Access]string{databox.Model: "model.txt", databox.CallsRead: ""} {
		weights, held, err := m.Box(t.Context(), "weights", use, object)
		if err != nil {
			t.Fatal(err)
		}
		if held.Bucket == other.Bucket {
			t.Fatalf("two boxes in one bucket %s", held.Bucket)
		}
		for where, key := range map[string]string{other.Bucket: "secret.txt", held.Bucket: "model.txt.bak"} {
			refused(t, "reading "+key+" with "+string(use), func() error {
				_, err := weights.StatObject(t.Context(), where, key, minio.StatObjectOptions{})
				return err
			})
			refused(t, "listing with "+string(use), func() error {
				return (<-weights.ListObjects(t.Context(), where, minio.ListObjectsOptions{})).Err
			})
			refused(t, "writing with "+string(use), func() error {
				_, err := weights.PutObject(t.Context(), where, key, strings.NewReader("x"), 1,
					minio.PutObjectOptions{})
				return err
			})
		}
	}
}

func refused(t *testing.T, what string, do func() error) {
	t.Helper()
	if code := minio.ToErrorResponse(do()).Code; code != "AccessDenied" {
		t.Errorf("%s: %q, want AccessDenied", what, code)
	}
}

// Credentials are made anew when their Secret is deleted or spoilt, and a pod that runs follows the
// file: it reads a model that only the new ones open.
func TestRenewedCredentialsUnderARunningPod(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-renewal", component{Image: echoImage, Inference: "echo:model_text", Model: "model.txt"})
	awaitReady(t, m)
	predict(t, m, http.StatusServiceUnavailable) // the pod runs and has looked for its model with the first session

	key := types.NamespacedName{Namespace: m.Namespace, Name: databox.Model.Secret("weights", "model.txt")}
	_, before, err := m.Box(t.Context(), "weights", databox.Model, "model.txt")
	if err != nil {
		t.Fatal(err)
	}
	var secret corev1.Secret
	if err := m.Get(t.Context(), key, &secret); err != nil {
		t.Fatal(err)
	}
	if err := m.Cluster.Delete(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	// Secrets are not watched: the controller looks every few minutes, and at once when the box was
	// changed.
	if _, err := m.Kubectl(t.Context(), "-n", m.Namespace, "annotate", "databox", "weights",
		"looked-at=now"); err != nil {
		t.Fatal(err)
	}
	var after databox.Session
	err = live.Await(t.Context(), 30*time.Second, "waiting for new credentials", func(ctx ctx) (err error) {
		if _, after, err = m.Box(ctx, "weights", databox.Model, "model.txt"); err == nil &&
			after.AccessKeyID == before.AccessKeyID {
			err = fmt.Errorf("still the session %s", before.AccessKeyID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// While calls keep the pod alive, kubelet brings the new file (its sync period: about a minute)
	// and the model is found with it.
	err = live.Await(t.Context(), 3*time.Minute, "waiting for the pod to use the new session", func(ctx ctx) error {
		if _, err := m.Predict(ctx, "model", user, password); err != nil {
			return err
		}
		log, err := m.Kubectl(ctx, "-n", m.Namespace, "logs", "-l", "serving.knative.dev/service=model", "-c", "server",
			"--tail=-1")
		if err != nil {
			return err
		}
		if !strings.Contains(log, after.AccessKeyID) {
			return fmt.Errorf("the server has not opened session %s", after.AccessKeyID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Put(t.Context(), "weights", "model.txt", []byte("read with the new session")); err != nil {
		t.Fatal(err)
	}
	wantText(t, m, "read with the new session", 30*time.Second)
	pods, err := m.Replicas(t.Context(), "model")
	if err != nil || pods != 1 {
		t.Errorf("%d pods, %v: want the one that was there from the start", pods, err)
	}
}
