//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
)

// The provider keeps its key in memory, so it is one pod that never goes.
const idp = `
apiVersion: v1
kind: Namespace
metadata: {name: unip-e2e-idp}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: idp, namespace: unip-e2e-idp}
spec:
  template:
    metadata:
      annotations: {autoscaling.knative.dev/min-scale: "1", autoscaling.knative.dev/max-scale: "1"}
    spec:
      containers:
      - image: ko://github.com/unip-knative/unip/e2e/idp
        args: [-issuer=http://idp.unip-e2e-idp.svc.cluster.local, "-users=ann:s3same,boris:s4same"]
        resources: {requests: {cpu: 25m, memory: 32Mi}}
`

const oidcModule = `
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: userdata, namespace: NS}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: model, namespace: NS}
spec:
  image: {existingImageName: IMAGE}
  mlService: {inference: 'echo:echo'}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: model-api, namespace: NS}
spec:
  published: true
  mlComponent: {name: model}
  restfulApi:
    path: model
    auth: {oidc: {issuer: 'http://idp.unip-e2e-idp.svc.cluster.local', clientId: end-users}, identityPassThrough: true}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: files-api, namespace: NS}
spec:
  published: true
  files: {}
  restfulApi:
    auth: {basic: {credentials: users}, oidc: {issuer: 'http://idp.unip-e2e-idp.svc.cluster.local', clientId: end-users}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: users, namespace: NS}
stringData: {ann: s3same}
`

// Users log in at an OpenID Connect provider in the cluster and call with its tokens: each has
// files of their own, and a user of HTTP Basic of the same name is somebody else.
func TestOpenIDConnect(t *testing.T) {
	t.Parallel()
	login := deployIdP(t)
	m := applyOIDC(t, "pu-e2e-pa-oidc")

	call := func(method, path, token string, body any) *live.Answer {
		t.Helper()
		h := http.Header{}
		if token != "" {
			h.Set("Authorization", "Bearer "+token)
		}
		a, err := m.Call(t.Context(), live.Request{Method: method, Path: "/" + m.Namespace + "/" + path, Header: h,
			Body: body})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	inputs := map[string]any{"inputs": []live.Variable{text("hello")}}
	ann, boris := login("ann", "s3same", "end-users"), login("boris", "s4same", "end-users")

	for what, token := range map[string]string{"no token": "",
		"a token for another client": login("ann", "s3same", "other"),
		"a changed token":            ann[:len(ann)-8] + "AAAAAAAA"} {
		for _, path := range []string{"model/predict", "files/userdata/g/"} {
			method := http.MethodGet
			if path == "model/predict" {
				method = http.MethodPost
			}
			a := call(method, path, token, nil)
			challenge := strings.Join(a.Header.Values("WWW-Authenticate"), "; ")
			if a.Status != http.StatusUnauthorized || !strings.Contains(challenge, "Bearer ") ||
				strings.Contains(challenge, "invalid_token") != (token != "") {
				t.Errorf("%s: %s answers %d %s, WWW-Authenticate %q", path, what, a.Status, a.Body, challenge)
			}
		}
	}
	for _, token := range []string{ann, boris} {
		a := call(http.MethodPost, "model/predict", token, inputs)
		var got string
		if err := a.Output("text", &got); err != nil || got != "hello" {
			t.Errorf("predict with a token: %d %s %v", a.Status, a.Body, err)
		}
	}

	file := filepath.Join(t.TempDir(), "a.txt")
	if err := os.WriteFile(file, []byte("of ann\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	host, err := m.Host(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unip := func(who string, args ...string) string {
		t.Helper()
		env := []string{"UNIP_URL=" + m.Ingress + "/" + m.Namespace, "UNIP_HOST=" + host, "UNIP_TOKEN=" + who,
			filepath.Join(m.Root, "bin", "unip")}
		if who == "" {
			env = append([]string{"UNIP_USER=" + user, "UNIP_PASSWORD=" + password}, env...)
		}
		out, err := m.Run(t.Context(), nil, "env", append(env, args...)...)
		if err != nil {
			t.Errorf("unip %v: %v", args, err)
		}
		return string(out)
	}
	unip(ann, "files", "put", file, "userdata/g/")
	unip(ann, "files", "get", "userdata/g/a.txt", file+".back")
	if b, err := os.ReadFile(file + ".back"); err != nil || string(b) != "of ann\n" {
		t.Errorf("what came back: %q %v", b, err)
	}
	for who, token := range map[string]string{"boris": boris, "ann by password": ""} {
		if out := unip(token, "files", "ls", "userdata/g/"); strings.TrimSpace(out) != "" {
			t.Errorf("%s sees %q", who, out)
		}
	}
	if a := call(http.MethodGet, "files/userdata/g/a.txt", boris, nil); a.Status != http.StatusNotFound {
		t.Errorf("boris gets ann's file: %d %s", a.Status, a.Body)
	}
	box, session, err := m.Bucket(t.Context(), "userdata")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := box.StatObject(t.Context(), session.Bucket, "users/oidc%3Aann/file_groups/g/a.txt",
		minio.StatObjectOptions{}); err != nil {
		t.Errorf("ann's file is not where it should be: %v", err)
	}
}

func applyOIDC(t *testing.T, ns string) *live.Module {
	t.Helper()
	m := cleared(t, ns)
	dir := t.TempDir()
	manifest := strings.NewReplacer("NS", ns, "IMAGE", echoImage).Replace(oidcModule)
	if err := os.WriteFile(filepath.Join(dir, "module.yaml"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, m)
	return m
}

// deployIdP brings the provider onto the cluster. What it returns gets a token as the platform's
// clients do, by the password grant.
func deployIdP(t *testing.T) func(user, password, client string) string {
	t.Helper()
	m := cleared(t, "unip-e2e-idp")
	if _, err := m.Run(t.Context(), []byte(idp), os.Getenv("CLUSTER"), "exec", "--", "ko", "apply", "--sbom=none", "-f",
		"-"); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, m)
	var s servingv1.Service
	if err := m.Get(t.Context(), client.ObjectKey{Namespace: m.Namespace, Name: "idp"}, &s); err != nil {
		t.Fatal(err)
	}
	return func(user, password, client string) string {
		t.Helper()
		form := url.Values{"grant_type": {"password"}, "client_id": {client}, "username": {user},
			"password": {password}}
		var token string
		err := live.Await(t.Context(), 30*time.Second, "logging in", func(ctx ctx) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.Ingress+"/token",
				strings.NewReader(form.Encode()))
			if err != nil {
				return err
			}
			req.Host = s.Status.URL.Host
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			var a struct {
				Token string `json:"access_token"`
			}
			if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 64<<10)).Decode(&a); err != nil ||
				resp.StatusCode != http.StatusOK {
				return fmt.Errorf("the provider answers %s: %v", resp.Status, err)
			}
			token = a.Token
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
}
