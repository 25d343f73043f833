//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
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
	"github.com/unip-knative/unip/translate/names"
)

type ctx = context.Context

// Who calls is decided by the gateway: a wrong password is refused, and a call past the gateway has no identity, whatever its headers claim.
func TestIdentity(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-identity", echo("echo:echo"))
	awaitReady(t, m)

	for name, c := range map[string]struct{ user, password string }{
		"wrong password": {user, "wrong"}, "unknown user": {"bob", password}, "no credentials": {},
	} {
		a, err := m.Predict(t.Context(), "model", c.user, c.password, text("x"))
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != http.StatusUnauthorized || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: %d %v, want 401 and WWW-Authenticate", name, a.Status, a.Header)
		}
	}

	predict(t, m, http.StatusOK, text("signed"))
	inner := live.Request{
		Method: http.MethodPost, Path: "/predict", Host: "model." + m.Namespace + ".svc.cluster.local",
		Body: map[string]any{"inputs": []live.Variable{text("unsigned")}},
	}
	inside := *m
	inside.Cluster = clusterInside(t)
	inner.Header = http.Header{"X-Forwarded-User": {"root"}, "Traceparent": {"00-" + strings.Repeat("ab", 16) + "-" + strings.Repeat("cd", 8) + "-01"}}
	a, err := inside.Call(t.Context(), inner)
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != http.StatusOK {
		t.Fatalf("an unsigned call inside the cluster: %d %s", a.Status, a.Body)
	}
	inner.Header.Set("Unip-Caller", "forged.token.here")
	if a, err = inside.Call(t.Context(), inner); err != nil || a.Status != http.StatusUnauthorized {
		t.Errorf("a forged signature: %v %v, want 401", a, err)
	}

	users := map[string]int{}
	err = live.Await(t.Context(), 20*time.Second, "reading the access log", func(ctx ctx) error {
		log, err := m.Kubectl(ctx, "-n", m.Namespace, "logs", "-l", "serving.knative.dev/service=model", "-c", "server", "--tail=-1")
		if err != nil {
			return err
		}
		clear(users)
		for line := range strings.Lines(log) {
			var l struct {
				Msg, Path, User string
				Status          int
			}
			if json.Unmarshal([]byte(line), &l) == nil && l.Path == "/predict" && l.Status == http.StatusOK {
				users[l.User]++
			}
		}
		if len(users) < 2 {
			return fmt.Errorf("calls by user: %v", users)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if users[user] != 1 || users[""] != 1 || len(users) != 2 {
		t.Errorf("successful calls by user %v, want one of %s and one of nobody", users, user)
	}
}

// clusterInside reaches the ingress for calls from inside the cluster, by its ClusterIP (the local cluster routes those to this machine).
func clusterInside(t *testing.T) *live.Cluster {
	t.Helper()
	var s corev1.Service
	if err := cluster.Get(t.Context(), types.NamespacedName{Namespace: "knative-serving", Name: "kingress-internal"}, &s); err != nil {
		t.Fatal(err)
	}
	c := *cluster
	c.Ingress = "http://" + s.Spec.ClusterIP
	return &c
}

// The user's code finds no S3 key, no key of the module and no token of Kubernetes, neither in its environment nor in its files.
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
		if strings.Contains(path, "serviceaccount") || strings.Contains(path, "session") || strings.Contains(path, "key") {
			t.Errorf("the user's container can read %s", path)
		}
	}
	var secrets corev1.SecretList
	if err := m.List(t.Context(), &secrets); err != nil {
		t.Fatal(err)
	}
	all := string(a.Body)
	for _, s := range secrets.Items {
		if s.Namespace != m.Namespace && s.Namespace != "unip-system" {
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

// The credentials of one box open that box only, and those for reading do not write.
func TestBoxesAreApart(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-boxes", echo("echo:echo"))
	awaitReady(t, m)
	if err := m.Put(t.Context(), "other", "secret.txt", []byte("x")); err != nil {
		t.Fatal(err)
	}
	_, other, err := m.Box(t.Context(), "other", names.Read)
	if err != nil {
		t.Fatal(err)
	}
	for _, access := range []names.Access{names.Read, names.Write} {
		weights, own, err := m.Box(t.Context(), "weights", access)
		if err != nil {
			t.Fatal(err)
		}
		if own.Bucket == other.Bucket {
			t.Fatalf("two boxes in one bucket %s", own.Bucket)
		}
		refused(t, "reading another box with "+string(access), func() error {
			_, err := weights.StatObject(t.Context(), other.Bucket, "secret.txt", minio.StatObjectOptions{})
			return err
		})
		refused(t, "listing another box with "+string(access), func() error {
			return (<-weights.ListObjects(t.Context(), other.Bucket, minio.ListObjectsOptions{})).Err
		})
		write := func() error {
			_, err := weights.PutObject(t.Context(), own.Bucket, "w.txt", strings.NewReader("x"), 1, minio.PutObjectOptions{})
			return err
		}
		if access == names.Read {
			refused(t, "writing with the session for reading", write)
		} else if err := write(); err != nil {
			t.Errorf("writing the own box: %v", err)
		}
	}
}

func refused(t *testing.T, what string, do func() error) {
	t.Helper()
	if code := minio.ToErrorResponse(do()).Code; code != "AccessDenied" {
		t.Errorf("%s: %q, want AccessDenied", what, code)
	}
}

// Credentials are made anew when their Secret is deleted or spoilt, and a pod that runs follows the file: it reads a model that only the new ones open.
func TestRenewedCredentialsUnderARunningPod(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-renewal", component{Image: echoImage, Inference: "echo:model_text", Model: "model.txt"})
	awaitReady(t, m)
	predict(t, m, http.StatusServiceUnavailable) // the pod runs and has looked for its model with the first session

	key := types.NamespacedName{Namespace: m.Namespace, Name: names.Credentials("weights", names.Read)}
	_, before, err := m.Box(t.Context(), "weights", names.Read)
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
	// Secrets are not watched: a change of the box makes the controller look at once, else it does within minutes.
	if _, err := m.Kubectl(t.Context(), "-n", m.Namespace, "annotate", "databox", "weights", "looked-at=again"); err != nil {
		t.Fatal(err)
	}
	var after databox.Session
	err = live.Await(t.Context(), 30*time.Second, "waiting for new credentials", func(ctx ctx) (err error) {
		if _, after, err = m.Box(ctx, "weights", names.Read); err == nil && after.AccessKeyID == before.AccessKeyID {
			err = fmt.Errorf("still the session %s", before.AccessKeyID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// While calls keep the pod alive, kubelet brings the new file (its sync period: about a minute) and the model is found with it.
	err = live.Await(t.Context(), 3*time.Minute, "waiting for the pod to use the new session", func(ctx ctx) error {
		if _, err := m.Predict(ctx, "model", user, password); err != nil {
			return err
		}
		log, err := m.Kubectl(ctx, "-n", m.Namespace, "logs", "-l", "serving.knative.dev/service=model", "-c", "server", "--tail=-1")
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
