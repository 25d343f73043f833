//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// oneHost is the module as clients of the one host see it.
func oneHost(t *testing.T, m *live.Module) func(method, path, name, secret string, body any) *live.Answer {
	t.Helper()
	if err := cluster.OneHost(t.Context()); err != nil {
		t.Fatal(err)
	}
	return func(method, path, name, secret string, body any) *live.Answer {
		t.Helper()
		a, err := m.Call(t.Context(), live.Request{Method: method, Path: path, User: name, Password: secret, Body: body,
			Host: live.OneHostName})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

// What the platform's clients call is there at the one host, with no Host of a module: files, predict,
// runs and what there is of them. Documents and links are right for it.
func TestOneHost(t *testing.T) {
	t.Parallel()
	const ns = "pu-e2e-pa-onehost"
	m := applyRuns(t, ns, pipelineOf(ns, "copy", "table result", "",
		stage("fit", "table", "result", `cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_RESULT/"`)),
		"---"+strings.NewReplacer("NS", ns, "IMAGE", echoImage).Replace(oneComponent))
	call := oneHost(t, m)
	a := call(http.MethodPut, "/"+ns+"/files/userdata/in/t.csv?overwrite=true", user, password, nil)
	var link struct {
		Put string `json:"presigned_put_url"`
	}
	if err := json.Unmarshal(a.Body, &link); err != nil || link.Put == "" {
		t.Fatalf("a link: %d %s", a.Status, a.Body)
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, link.Put, strings.NewReader("a,b"))
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the upload: %v %v", resp, err)
	}
	resp.Body.Close()
	a = call(http.MethodPost, "/"+ns+"/echo/predict", user, password,
		map[string]any{"inputs": []live.Variable{text("x")}})
	if a.Status != http.StatusOK || len(a.Outputs) == 0 {
		t.Errorf("predict: %d %s", a.Status, a.Body)
	}
	a = call(http.MethodPost, "/"+ns+"/copy/run", user, password, map[string]any{
		"inputs": map[string]string{"table": "userdata/in/t.csv"}})
	place := a.Header.Get("Location")
	if a.Status != http.StatusAccepted || !strings.HasPrefix(place, "/"+ns+"/pipelines/runs/") {
		t.Fatalf("run: %d %s %s", a.Status, place, a.Body)
	}
	awaitRun(t, m, place[strings.LastIndexByte(place, '/')+1:], runtimev1.Succeeded)
	if a = call(http.MethodGet, place, user, password, nil); a.Status != http.StatusOK {
		t.Errorf("the run at its Location: %d %s", a.Status, a.Body)
	}
	a = call(http.MethodGet, place+"/events", user, password, nil)
	if a.Status != http.StatusOK || a.Header.Get("Content-Type") != "text/event-stream" ||
		!strings.Contains(string(a.Body), "Succeeded") {
		t.Errorf("events: %d %s", a.Status, a.Body)
	}
	for _, path := range []string{"echo", "files", "copy", "pipelines"} {
		a = call(http.MethodGet, "/"+ns+"/"+path+"/openapi.json", user, password, nil)
		var d struct{ Servers []struct{ URL string } }
		if err := json.Unmarshal(a.Body, &d); err != nil || len(d.Servers) != 1 || d.Servers[0].URL != "/"+ns+"/"+path {
			t.Errorf("the document of %s: %d %v", path, a.Status, d)
		}
	}
	for _, path := range []string{"/", "/pu-e2e-pa-nobody/echo/predict", "/kube-system/x", "/unip-system/x",
		"/" + ns + ".svc/echo/predict", "/x/../" + ns + "/echo/predict", "/" + ns + "/hidden/predict"} {
		a = call(http.MethodGet, path, user, password, nil)
		if a.Status != http.StatusNotFound && a.Status != http.StatusBadRequest || problemType(t, a) != "not-found" ||
			strings.Contains(string(a.Body), "pu-e2e-pa-onehost\"") {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	a = call(http.MethodGet, "/"+ns+"/files/", "", "", nil)
	if got := a.Header.Get("Www-Authenticate"); a.Status != http.StatusUnauthorized || !strings.HasPrefix(got,
		`Basic realm="`+ns+`"`) || a.Header.Get("Content-Security-Policy") != "sandbox" {
		t.Errorf("nobody: %d %v", a.Status, a.Header)
	}
	secured(t, ns)
	ownName(t, m)
	addresses(t, m)
	bothAsleep(t, m, ns, call)
}

// ownName gives a module a host of its own choice, as docs/operating.md says.
func ownName(t *testing.T, m *live.Module) {
	t.Helper()
	const name = "one.example.org"
	if err := cluster.MapDomain(t.Context(), name, m.Namespace, "serving.knative.dev/v1", "gateway"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := cluster.Kubectl(context.Background(), "delete", "clusterdomainclaim", name)
		if err != nil {
			t.Error(err)
		}
	})
	for _, path := range []string{"/files/", "/" + m.Namespace + "/files/"} {
		a, err := m.Call(t.Context(), live.Request{Method: http.MethodGet, Path: path, User: user, Password: password,
			Host: name})
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != http.StatusOK || !strings.Contains(string(a.Body), `"userdata"`) {
			t.Errorf("%s at %s: %d %s", path, name, a.Status, a.Body)
		}
	}
}

// addresses shows that a caller has one address at both hosts: who has guessed at one of them waits at
// the other, and back again longer.
func addresses(t *testing.T, m *live.Module) {
	t.Helper()
	own, err := m.OwnHost(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	guess := func(host, who string) time.Duration {
		a, err := m.Call(t.Context(), live.Request{Method: http.MethodGet, Path: "/" + m.Namespace + "/files/",
			User: who, Password: "wrong", Host: host})
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != http.StatusUnauthorized {
			t.Errorf("%s at %s: %d %s", who, host, a.Status, a.Body)
		}
		return a.Took
	}
	for range 4 { // which cost nothing
		guess(live.OneHostName, "kim")
	}
	for i, host := range []string{own, live.OneHostName} {
		if took, want := guess(host, "kim"), time.Second<<i; took < want {
			t.Errorf("at %s who has guessed elsewhere waits %s, want %s", host, took, want)
		}
	}
}

const oneComponent = `
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: echo, namespace: NS}
spec: {image: {existingImageName: IMAGE}, mlService: {inference: 'echo:echo'}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: echo-api, namespace: NS}
spec:
  published: true
  mlComponent: {name: echo}
  restfulApi: {path: echo, auth: {basic: {credentials: users}}}
`

// secured calls by TLS, of a certificate of an own authority, which ends before the cluster's ingress;
// by HTTP/2 up to there.
func secured(t *testing.T, ns string) {
	t.Helper()
	ingress, err := url.Parse(cluster.Ingress)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(ingress)
		p.Out.Host = p.In.Host
		p.SetXForwarded()
	}})
	authority, certificate := selfSigned(t)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}}
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool,
		ServerName: live.OneHostName}}
	defer tr.CloseIdleConnections()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/"+ns+"/echo/predict",
		strings.NewReader(`{"inputs":[{"name":"text","datatype":"str","data":"x"}]}`))
	r.Host = live.OneHostName
	r.SetBasicAuth(user, password)
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("by TLS: %s %s %s", resp.Proto, resp.Status, b)
	}
}

// selfSigned is an authority of the operator's own, and a certificate of it for the one host.
func selfSigned(t *testing.T) (*x509.Certificate, tls.Certificate) {
	t.Helper()
	sign := func(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
		template.SerialNumber, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "an authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}
	ca = sign(ca, ca, caKey, caKey)
	leaf := sign(&x509.Certificate{DNSNames: []string{live.OneHostName}}, ca, key, caKey)
	return ca, tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
}

// bothAsleep calls while neither gateway nor component runs: the component's pod is there before the
// gateway could have asked for it.
func bothAsleep(t *testing.T, m *live.Module, ns string, call func(string, string, string, string, any) *live.Answer) {
	t.Helper()
	if err := m.AwaitAsleep(t.Context(), 3*time.Minute); err != nil {
		t.Fatal(err)
	}
	begun := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { // both have a pod before either is ready
		begun <- live.Await(ctx, 30*time.Second, "both wake", func(ctx context.Context) error {
			for _, s := range []string{"gateway", "echo"} {
				if n, err := m.Replicas(ctx, s); err != nil || n == 0 {
					return fmt.Errorf("%s has %d pods: %w", s, n, err)
				}
			}
			return nil
		})
	}()
	a := call(http.MethodPost, "/"+ns+"/echo/predict", user, password,
		map[string]any{"inputs": []live.Variable{text("x")}})
	if a.Status != http.StatusOK {
		t.Errorf("both asleep: %d %s", a.Status, a.Body)
	}
	if err := <-begun; err != nil {
		t.Error(err)
	}
	t.Logf("from zero, both asleep: %s", a.Took.Round(time.Millisecond))
}
