//go:build e2e

package e2e

import (
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/e2e/live"
	"github.com/unip-knative/unip/eventing/names"
)

// others are components beside the usual one, which has an API with passwords.
const others = `
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: none, namespace: NS, annotations: {knative.unified-platform.cs.hse.ru/max-scale: "1"}}
spec: {image: {existingImageName: IMAGE}, mlService: {inference: 'echo:echo'}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: hidden, namespace: NS}
spec: {image: {existingImageName: IMAGE}, mlService: {inference: 'echo:echo'}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: hidden-api, namespace: NS}
spec: {published: false, mlComponent: {name: hidden}, restfulApi: {path: hidden}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: open, namespace: NS}
spec: {image: {existingImageName: IMAGE}, mlService: {inference: 'echo:echo'}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: open-api, namespace: NS}
spec: {published: true, mlComponent: {name: open}, restfulApi: {path: open}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: allowed, namespace: NS, annotations: {knative.unified-platform.cs.hse.ru/anonymous-calls: Allow}}
spec:
  image: {existingImageName: IMAGE}
  mlService: {inference: 'echo:echo'}
  connectedBoxes: [{name: other, mountS3Box: {mountPath: /files}}]
`

// Who calls is decided by the gateway: a wrong password is refused, and a call past the gateway is
// not answered, whatever its headers claim and whatever API the component has. Only a component
// that says so answers it, to nobody in particular.
func TestIdentity(t *testing.T) {
	t.Parallel()
	m := cleared(t, "pu-e2e-pa-identity")
	dir := write(t, m.Namespace, echo("echo:echo"))
	more := strings.NewReplacer("NS", m.Namespace, "IMAGE", echoImage).Replace(others)
	if err := os.WriteFile(filepath.Join(dir, "others.yaml"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
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
	for path, want := range map[string]int{"open": http.StatusOK, "hidden": http.StatusNotFound,
		"none": http.StatusNotFound} {
		if a, err := m.Predict(t.Context(), path, "", "", text("x")); err != nil || a.Status != want {
			t.Errorf("%s through the gateway: %v %v, want %d", path, a, err, want)
		}
	}

	in := pod{t, *m}
	in.Cluster = clusterInside(t)
	for _, c := range []string{"model", "none", "hidden", "open"} {
		for name, header := range map[string]http.Header{
			"nothing":            {},
			"a claim":            {"X-Forwarded-User": {"root"}},
			"a forged signature": {"Unip-Caller": {"forged.token.here"}},
		} {
			for _, call := range []string{"POST /predict", "GET /openapi.json", "GET /v2/models/" + c,
				"GET /v2/health/ready"} {
				a := in.call(c, call, header, nil)
				if a.Status != http.StatusUnauthorized || problemType(t, a) != "unauthorized" {
					t.Errorf("%s of %s inside the cluster with %s: %d %s", call, c, name, a.Status, a.Body)
				}
			}
		}
		if a := in.call(c, "GET /readyz", nil, nil); a.Status != http.StatusOK {
			t.Errorf("health of %s: %d %s", c, a.Status, a.Body)
		}
	}
	claim := http.Header{"X-Forwarded-User": {user}}
	if a := in.call("allowed", "POST /predict", claim, []live.Variable{text("unsigned")}); a.Status != http.StatusOK {
		t.Errorf("a component that allows it: %d %s", a.Status, a.Body)
	}
	file := live.Variable{Name: "text", Datatype: "FILE", Data: json.RawMessage(`"other/letters/a.txt"`)}
	if a := in.call("allowed", "POST /predict", claim, []live.Variable{file}); a.Status != http.StatusForbidden ||
		problemType(t, a) != "file-needs-user" {
		t.Errorf("a file for nobody: %d %s", a.Status, a.Body)
	}
	if users := usersInLog(t, m); users[user] != 1 || len(users) != 1 {
		t.Errorf("successful calls of model by user %v, want one of %s", users, user)
	}
}

// A signature, as the gateway makes it and a thief may read it, is for one call: not for a second
// one, and not for one a minute later.
func TestSignaturesAreForOneCall(t *testing.T) {
	t.Parallel()
	m := cleared(t, "pu-e2e-pa-once")
	one := echo("echo:echo")
	one.Once = true
	if err := m.Apply(t.Context(), write(t, m.Namespace, one)); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, m)
	predict(t, m, http.StatusOK, text("and the module's key is there"))
	var secret corev1.Secret
	if err := m.Get(t.Context(), types.NamespacedName{Namespace: m.Namespace, Name: names.ModuleKey},
		&secret); err != nil {
		t.Fatal(err)
	}
	in := pod{t, *m}
	in.Cluster = clusterInside(t)
	send := func(signature string) (int, string) {
		t.Helper()
		a := in.call("model", "POST /predict", http.Header{"Unip-Caller": {signature}}, []live.Variable{text("x")})
		if a.Status == http.StatusOK {
			return a.Status, ""
		}
		return a.Status, problemType(t, a)
	}
	now := sign(secret.Data["key"], "model", user, time.Now())
	if status, kind := send(now); status != http.StatusOK {
		t.Fatalf("a signature of now: %d %s", status, kind)
	}
	if status, kind := send(now); status != http.StatusUnauthorized || kind != "unauthorized" {
		t.Errorf("the same again: %d %s", status, kind)
	}
	if status, kind := send(sign(secret.Data["key"], "model", user,
		time.Now().Add(-70*time.Second))); status != http.StatusUnauthorized || kind != "caller-expired" {
		t.Errorf("a signature of 70 s ago: %d %s", status, kind)
	}
	if status, kind := send(sign(secret.Data["key"], "other", user, time.Now())); status != http.StatusUnauthorized ||
		kind != "unauthorized" {
		t.Errorf("a signature for another component: %d %s", status, kind)
	}
}

// A component that takes longer to start than a signature lives answers the call that has woken it.
func TestASlowStart(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-slow", echo("late:echo"))
	awaitReady(t, m)
	if err := m.AwaitZero(t.Context(), 3*time.Minute, "model"); err != nil {
		t.Fatal(err)
	}
	if a := predict(t, m, http.StatusOK, text("x")); a.Took < time.Minute {
		t.Errorf("it took only %s: the component was not asleep", a.Took)
	}
}

// The function of a module keeps the capabilities that its files and users need, and none for the
// network.
func TestCapabilitiesOfAFunction(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-caps", echo("echo:capabilities"))
	awaitReady(t, m)
	var bounding string
	if err := predict(t, m, http.StatusOK).Output("bounding", &bounding); err != nil {
		t.Fatal(err)
	}
	const kept = "00000000000000eb" // CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID
	if bounding != kept {
		t.Errorf("CapBnd %s, want %s", bounding, kept)
	}
}

// usersInLog are the successful calls of predict by who made them, as the component's log says.
func usersInLog(t *testing.T, m *live.Module) map[string]int {
	t.Helper()
	users := map[string]int{}
	err := live.Await(t.Context(), 20*time.Second, "reading the access log", func(ctx ctx) error {
		log, err := m.Kubectl(ctx, "-n", m.Namespace, "logs", "-l", "serving.knative.dev/service=model", "-c", "server",
			"--tail=-1")
		if err != nil {
			return err
		}
		clear(users)
		refused := 0
		for line := range strings.Lines(log) {
			var l struct {
				Path, User string
				Status     int
			}
			if json.Unmarshal([]byte(line), &l) != nil || l.Path != "/predict" {
				continue
			}
			if l.Status == http.StatusOK {
				users[l.User]++
			} else {
				refused++
			}
		}
		if refused < 3 {
			return fmt.Errorf("%d refused calls of predict", refused)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return users
}

// pod calls components as a pod of the cluster does.
type pod struct {
	t *testing.T
	live.Module
}

func (p pod) call(component, call string, header http.Header, inputs []live.Variable) *live.Answer {
	p.t.Helper()
	method, path, _ := strings.Cut(call, " ")
	r := live.Request{Method: method, Path: path, Host: component + "." + p.Namespace + ".svc.cluster.local",
		Header: header}
	if method == http.MethodPost {
		r.Body = map[string]any{"inputs": inputs}
	}
	a, err := p.Call(p.t.Context(), r)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

// sign makes the header Unip-Caller as the gateway does.
func sign(key []byte, component, user string, at time.Time) string {
	e := base64.RawURLEncoding.EncodeToString
	id := make([]byte, 16)
	_, _ = crand.Read(id)                     // never fails (crypto/rand)
	claims, _ := json.Marshal(map[string]any{ // strings and numbers always encode
		"iss": "gateway", "sub": user, "aud": component, "htm": http.MethodPost, "htu": "/predict",
		"iat": at.Unix(), "exp": at.Unix() + 60, "jti": e(id),
	})
	signed := e([]byte(`{"alg":"HS256","typ":"unip-caller+jwt"}`)) + "." + e(claims)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	return signed + "." + e(mac.Sum(nil))
}

// clusterInside reaches the ingress for calls from inside the cluster, by its ClusterIP (the local
// cluster routes those to this machine).
func clusterInside(t *testing.T) *live.Cluster {
	t.Helper()
	var s corev1.Service
	if err := cluster.Get(t.Context(), types.NamespacedName{Namespace: "knative-serving", Name: "kingress-internal"},
		&s); err != nil {
		t.Fatal(err)
	}
	c := *cluster
	c.Ingress = "http://" + s.Spec.ClusterIP
	return &c
}
