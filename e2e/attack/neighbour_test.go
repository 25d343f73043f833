//go:build e2e

package attack

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
)

func pointer(s string) *string { return &s }

const noInputs = `{"inputs":[]}`

// Components answer the gateway and nobody else, whatever APIs they have; only whether they live
// and are ready is everybody's.
func TestNeighbourCallsUnsigned(t *testing.T) {
	t.Parallel()
	w := enter(t)
	var calls []inside
	var want []int
	for _, component := range []string{"model", "alone"} { // with open, closed and hidden APIs; without any
		base := "http://" + component + "." + namespace + ".svc.cluster.local"
		for _, path := range []string{"/predict", "/v2/models/" + component + "/infer", "/v2/repository/index",
			"//predict", "/%70redict", "/predict?x=1"} {
			calls, want = append(calls, inside{Method: "POST", URL: base + path, Body: pointer(noInputs)}),
				append(want, 401)
		}
		for _, path := range []string{"/", "/openapi.json", "/openapi", "/v2", "/v2/health/live",
			"/v2/models/" + component, "/metrics", "/healthz/", "/healthz/x", "/readyz/../predict", "/debug/pprof/"} {
			calls, want = append(calls, inside{URL: base + path}), append(want, 401)
		}
		for _, c := range [][2]string{{"POST", "/healthz"}, {"PUT", "/readyz"}, {"DELETE", "/predict"},
			{"OPTIONS", "/predict"}} {
			calls, want = append(calls, inside{Method: c[0], URL: base + c[1], Body: pointer("")}), append(want, 401)
		}
		for _, c := range [][2]string{{"GET", "/healthz"}, {"HEAD", "/healthz"}, {"GET", "/readyz"},
			{"HEAD", "/readyz"}} {
			calls, want = append(calls, inside{Method: c[0], URL: base + c[1]}), append(want, 200)
		}
		for _, h := range []string{"X-Forwarded-User", "Unip-User", "K-Network-Probe", "X-Forwarded-For",
			"K-Kubelet-Probe"} {
			calls, want = append(calls, inside{Method: "POST", URL: base + "/predict", Body: pointer(noInputs),
				Headers: map[string]string{h: "bob"}}), append(want, 401)
		}
	}
	tried(t, len(calls))
	served := []string{"/predict", "/%70redict", "/infer", "/openapi", "/v2"}
	for i, o := range w.fromNeighbour(t, calls) {
		right := []int{want[i]}
		switch c := calls[i]; {
		case c.Headers["K-Network-Probe"] != "" || c.Headers["K-Kubelet-Probe"] != "":
			right = append(right, 200, 400) // Knative's own proxies answer these
		case slices.ContainsFunc([]string{"//predict", "/../predict"},
			func(p string) bool { return strings.HasSuffix(c.URL, p) }):
			right = append(right, 307, 404) // to a path that is refused
		case want[i] == 401 && !slices.ContainsFunc(served, func(p string) bool {
			return strings.Contains(c.URL, p) && c.Method != "DELETE" && c.Method != "OPTIONS"
		}):
			right = append(right, 404, 405) // what is not there need not say who may not have it
		}
		if strings.Contains(o.Body, "KeyError") {
			t.Errorf("%s %s %v reached the function", calls[i].Method, calls[i].URL, calls[i].Headers)
		}
		check(t, fmt.Sprintf("%s %s %v", calls[i].Method, calls[i].URL, calls[i].Headers), o.Status, o.Body, right...)
	}
}

// fresh is an id of a signature.
func fresh() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// sign makes a signature as the gateway does, with the module's key, which no neighbour has; change
// changes its claims.
func (w *world) sign(t *testing.T, change map[string]any) string {
	t.Helper()
	var secret corev1.Secret
	if err := w.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: names.ModuleKey},
		&secret); err != nil {
		t.Fatal(err)
	}
	key := secret.Data["key"]
	if k, ok := change["key"].([]byte); ok {
		key = k
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: key},
		(&jose.SignerOptions{}).WithType("unip-caller+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	claims := map[string]any{"iss": "gateway", "sub": "bob", "aud": "model", "htm": "POST", "htu": "/predict",
		"iat": now, "exp": now + 60, "jti": fresh()}
	for k, v := range change {
		if k != "key" {
			claims[k] = v
		}
	}
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A signature that somebody has come by is good for the one call it was made for, once, and for no
// more than a minute.
func TestNeighbourReplaysSignatures(t *testing.T) {
	t.Parallel()
	w := enter(t)
	now := time.Now().Unix()
	base := "http://model." + namespace + ".svc.cluster.local"
	post := func(path, signature string) inside {
		return inside{Method: "POST", URL: base + path,
			Body:    pointer(`{"inputs":[{"name":"code","datatype":"str","data":"answer = 1"}]}`),
			Headers: map[string]string{"Unip-Caller": signature, "Content-Type": "application/json"}}
	}
	good := w.sign(t, nil)
	first := w.fromNeighbour(t, []inside{post("/predict", good)})[0]
	if first.Status != http.StatusOK {
		t.Fatalf("a right signature: %d %s", first.Status, first.Body)
	}
	parts := strings.Split(good, ".")
	twisted := good[:len(good)-2] + strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return 'A'
	}, good[len(good)-2:])
	cases := []struct {
		name string
		call inside
	}{
		{"the same again", post("/predict", good)}, {"the same once more", post("/predict", good)},
		{"another path", post("/v2/models/model/infer", w.sign(t, nil))},
		{"another spelling of the path", post("/%70redict", w.sign(t, nil))},
		{"two slashes", post("//predict", w.sign(t, nil))},
		{"another method", inside{Method: "PUT", URL: base + "/predict", Body: pointer(""),
			Headers: map[string]string{"Unip-Caller": w.sign(t, nil)}}},
		{"another component", inside{Method: "POST", URL: strings.Replace(base, "model", "alone", 1) + "/predict",
			Body: pointer(noInputs), Headers: map[string]string{"Unip-Caller": w.sign(t, nil)}}},
		{"for another component", post("/predict", w.sign(t, map[string]any{"aud": "alone"}))},
		{"another issuer", post("/predict", w.sign(t, map[string]any{"iss": "neighbour"}))},
		{"another key", post("/predict", w.sign(t, map[string]any{"key": []byte(strings.Repeat("k", 32))}))},
		{"no key", post("/predict", parts[0]+"."+parts[1]+".")},
		{"alg none", post("/predict", "eyJhbGciOiJub25lIiwidHlwIjoidW5pcC1jYWxsZXIrand0In0."+parts[1]+".")},
		{"twisted", post("/predict", twisted)}, {"padded", post("/predict", good+"=")},
		{"in two parts", post("/predict", parts[0]+"."+parts[1])}, {"twice", post("/predict", good+","+good)},
		{"expired", post("/predict", w.sign(t, map[string]any{"iat": now - 120, "exp": now - 60}))},
		{"over 60 s old", post("/predict", w.sign(t, map[string]any{"iat": now - 90, "exp": now - 30}))},
		{"good for an hour", post("/predict", w.sign(t, map[string]any{"exp": now + 3600}))},
		{"from the future", post("/predict", w.sign(t, map[string]any{"iat": now + 600, "exp": now + 660}))},
		{"without an id", post("/predict", w.sign(t, map[string]any{"jti": ""}))},
		{"of 5 KiB", post("/predict", w.sign(t, map[string]any{"sub": strings.Repeat("u", 5<<10)}))},
	}
	tried(t, len(cases))
	calls := make([]inside, len(cases))
	for i, c := range cases {
		calls[i] = c.call
	}
	for i, o := range w.fromNeighbour(t, calls) {
		check(t, cases[i].name, o.Status, o.Body, 401, 431)
	}
}

// Past the ingress and Knative nothing of another module, and nothing of unip, is reached.
func TestNeighbourReachesNoPod(t *testing.T) {
	t.Parallel()
	w := enter(t)
	var pods corev1.PodList
	if err := w.List(t.Context(), &pods, client.InNamespace(namespace),
		client.HasLabels{"serving.knative.dev/service"}); err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, p := range pods.Items {
		if p.Status.PodIP != "" && p.DeletionTimestamp == nil {
			for _, port := range []string{"8002", "8012", "8022", "8080", "9090", "9091", "9464"} {
				addresses = append(addresses, net.JoinHostPort(p.Status.PodIP, port))
			}
		}
	}
	addresses = append(addresses, "unip-events.unip-system.svc.cluster.local:80", "169.254.169.254:80")
	tried(t, len(addresses))
	const code = `
import socket
from concurrent.futures import ThreadPoolExecutor
def reach(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
        return True
    except OSError:
        return False
with ThreadPoolExecutor(32) as pool:
    answer = [a for a, r in zip(given, pool.map(reach, given)) if r]
`
	var reached []string
	python(t, w.neighbour, "evil", "", code, addresses, &reached)
	if len(reached) > 0 {
		t.Errorf("reached %v", reached)
	}
}

// failAtOnce starts a run of no pipeline, as the neighbour's editor could, and tells how long the
// controller took to look at it.
func (w *world) failAtOnce(t *testing.T) time.Duration {
	t.Helper()
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{GenerateName: "none-", Namespace: neighbour},
		Spec: runtimev1.PipelineRunSpec{Pipeline: "none"}}
	if err := w.Create(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	err := live.Await(t.Context(), time.Minute, "the run of no pipeline", func(ctx context.Context) error {
		if err := w.Get(ctx, client.ObjectKeyFromObject(run), run); err != nil || !run.Status.State.Done() {
			return fmt.Errorf("it is %s: %w", run.Status.State, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

// Anybody may post to anybody's Broker. Events about runs that are none cost nothing: another
// module's run does not wait.
func TestNeighbourForgesEvents(t *testing.T) {
	t.Parallel()
	w := enter(t)
	const n = 1600
	tried(t, n/100) // a hundred of them are one input
	before := w.failAtOnce(t)
	const code = `
import time
def event(i):
    return {"method": "POST", "url": given, "body": "", "headers": {"Ce-Specversion": "1.0", "Ce-Id": str(i), "Ce-Source": "/forged", "Content-Type": "application/json",
        "Ce-Type": "ru.hse.cs.unified-platform.pipeline.run.requested.v1", "Ce-Pipeline": "stage", "Ce-Run": "none-%d" % i}}
start = time.monotonic()
answer = [sum(200 <= c[0] < 300 for c in calls([event(i) for i in range(1600)], 8)), time.monotonic() - start]
`
	var posted []float64
	python(t, w.neighbour, "evil", "", code,
		"http://broker-ingress.knative-eventing.svc.cluster.local/"+namespace+"/default", &posted)
	after := w.failAtOnce(t)
	t.Logf("%v events taken in %.1f s; a run is looked at after %s, before it was %s", posted[0], posted[1], after,
		before)
	if posted[0] < n {
		t.Errorf("the Broker took %v of %d events", posted[0], n)
	}
	if after > 5*time.Second {
		t.Errorf("the controller looked at a run after %s", after)
	}
}

// An event that speaks of a file is looked at, not believed.
func TestNeighbourForgesUploads(t *testing.T) {
	t.Parallel()
	w := enter(t)
	before, err := w.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, r := range before {
		known[r.Name] = true
	}
	var calls []inside
	for _, user := range []string{"bob", "../bob", "../", "", "bob/file_groups/..", "%62ob", "anonymous", "%D0%A4"} {
		for _, subject := range []string{"in/secret.csv", "../in/secret.csv"} {
			calls = append(calls, inside{Method: "POST",
				URL:  "http://broker-ingress.knative-eventing.svc.cluster.local/" + namespace + "/default",
				Body: pointer("{}"), Headers: map[string]string{
					"Ce-Specversion": "1.0", "Ce-Id": "x", "Ce-Source": "/forged", "Content-Type": "application/json",
					"Ce-Type": "ru.hse.cs.unified-platform.databox.object.created.v1",
					"Ce-Box":  "userdata", "Ce-User": fmt.Sprintf("%q", user)[1 : len(fmt.Sprintf("%q", user))-1],
					"Ce-Subject": subject,
				}})
		}
	}
	tried(t, len(calls))
	w.fromNeighbour(t, calls)
	w.failAtOnce(t) // the controller has got round to it
	after, err := w.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range after {
		if !known[r.Name] && r.Spec.Origin == "Upload" {
			t.Errorf("an event started %s for %q", r.Name, r.Spec.User)
		}
	}
}

// Who speaks as S3 must know the token.
func TestWebhookOfStrangers(t *testing.T) {
	t.Parallel()
	w := enter(t)
	var secret corev1.Secret
	if err := w.Get(t.Context(), types.NamespacedName{Namespace: names.SystemNamespace, Name: "unip-s3"},
		&secret); err != nil {
		t.Fatal(err)
	}
	token := string(secret.Data["webhookToken"])
	record := `{"Records":[{"eventName":"s3:ObjectCreated:Put","s3":{"bucket":{"name":"` + databox.UsualBuckets.Box(namespace,
		"userdata") + `"},"object":{"key":"users%2Fbob%2Ffile_groups%2Fin%2Fsecret.csv"}}}]}`
	base := "http://s3-events.unip-system.svc.cluster.local:8080"
	var calls []inside
	var want [][]int
	add := func(method, path, authorization, body string, statuses ...int) {
		h := map[string]string{"Content-Type": "application/json"}
		if authorization != "" {
			h["Authorization"] = authorization
		}
		calls, want = append(calls, inside{Method: method, URL: base + path, Headers: h, Body: pointer(body)}),
			append(want, statuses)
	}
	for _, a := range []string{
		"", "Bearer", "Bearer ", "Bearer wrong", "Bearer " + token[:len(token)-1], "Bearer " + token + "x",
		"Bearer " + strings.ToUpper(token) + "-", "bearer-" + token, token, "Basic " + token, "Bearer  " + token + " ",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("unip:"+token+"x")),
		"Basic " + base64.StdEncoding.EncodeToString([]byte(token+":")),
	} {
		add("POST", "/v1/minio", a, record, 401)
	}
	for _, path := range []string{"/", "/v1", "/v1/", "/v1/minio/", "//v1/minio", "/v1/../v1/minio", "/v1/minio/x",
		"/v1/versitygw/" + token[:len(token)-1], "/v1/ceph/" + token + "/", "/v1/aws?token=" + token,
		"/v1/nothing/" + token, "/v1/nothing", "/metrics", "/debug/pprof/",
		"/namespaces/" + namespace + "/pipelines/stage/uploads/0"} {
		add("POST", path, "Bearer wrong", record, 301, 307, 308, 401, 404)
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS"} {
		add(method, "/v1/minio", "", record, 401, 405)
	}
	add("POST", "/v1/minio", "Bearer wrong", strings.Repeat("x", 20<<20), 401, 413, 0)
	tried(t, len(calls))
	for i, o := range w.fromNeighbour(t, calls) {
		check(t, fmt.Sprintf("%s %s %q", calls[i].Method, calls[i].URL, calls[i].Headers["Authorization"]), o.Status,
			o.Body, want[i]...)
	}
}
