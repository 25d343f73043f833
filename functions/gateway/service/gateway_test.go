package service

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/internal/forward"
	"github.com/unip-knative/unip/functions/internal/caller"
	"github.com/unip-knative/unip/functions/internal/problem"
)

const routesFile = `{"apis":[
 {"name":"leaf-api","kind":"mlComponent","path":"leaf","target":"leaf-mlcmp","timeoutSeconds":30,"auth":{"basic":{"credentials":"users"}},"identityPassThrough":true},
 {"name":"open","kind":"mlComponent","path":"open","target":"open-mlcmp","timeoutSeconds":30},
 {"name":"quiet","kind":"mlComponent","path":"quiet","target":"quiet-mlcmp","timeoutSeconds":30,"auth":{"basic":{"credentials":"users"}}}
]}`

var key = bytes.Repeat([]byte{9}, 32)

// module is a gateway over a component that is a real HTTP server; only the Service's name is
// resolved by the test.
type module struct {
	*httptest.Server
	gateway *Gateway
	dir     string
}

func start(t *testing.T, component http.HandlerFunc) module {
	t.Helper()
	return startWith(t, routesFile, component)
}

func startWith(t *testing.T, routesFile string, component http.HandlerFunc) module {
	t.Helper()
	dir := t.TempDir()
	put := func(name string, b []byte) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("auth/users/ann", []byte("secret"))
	put("key", key)
	file, err := routes.Decode([]byte(routesFile))
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(Options{
		Namespace: "pu-ann", Routes: file, Passwords: filepath.Join(dir, "auth"), Key: filepath.Join(dir, "key"),
		Address: func(component string) *url.URL {
			return &url.URL{Scheme: "http", Host: component + ".pu-ann.svc.cluster.local"}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	transport := forward.Transport()
	if component != nil {
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/readyz" {
				component(w, r)
			}
		}))
		t.Cleanup(up.Close)
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, up.Listener.Addr().String())
		}
	} else {
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil,
				fmt.Errorf("no route to host")
		}
	}
	g.forward = forward.New(transport, forward.MaxBody)
	g.forward.Patience = 200 * time.Millisecond
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	return module{srv, g, dir}
}

func (m module) request(t *testing.T, method, path string, body io.Reader, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, m.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "user" {
			user, password, _ := strings.Cut(header[i+1], ":")
			r.SetBasicAuth(user, password)
			continue
		}
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func (m module) call(t *testing.T, method, path string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	resp, err := m.Client().Do(m.request(t, method, path, body, header...))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func wantProblem(t *testing.T, resp *http.Response, body string, status int, slug string) {
	t.Helper()
	var p problem.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("status %d, body %q: %v", resp.StatusCode, body, err)
	}
	if resp.StatusCode != status || p.Status != status || p.Slug() != slug ||
		resp.Header.Get("Content-Type") != problem.ContentType {
		t.Errorf("status %d %s, problem %+v; want %d %s", resp.StatusCode, resp.Header.Get("Content-Type"), p, status,
			slug)
	}
}

// The Open Inference Protocol says in a header, both ways, where binary tensors begin; and its
// clients read "error".
func TestBinaryTensorsPass(t *testing.T) {
	t.Parallel()
	const head = "Inference-Header-Content-Length"
	m := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(head, r.Header.Get(head))
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = io.Copy(w, r.Body)
	})
	resp, body := m.call(t, "POST", "/open/v2/models/x/infer", strings.NewReader("{}\x00\xff\n"), head, "2",
		"Content-Type", "application/octet-stream")
	if body != "{}\x00\xff\n" || resp.Header.Get(head) != "2" ||
		resp.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%q %v", body, resp.Header)
	}
	resp, body = m.call(t, "GET", "/leaf/v2", nil)
	wantProblem(t, resp, body, http.StatusUnauthorized, problem.Unauthorized)
	if !strings.Contains(body, `"error":"`) {
		t.Errorf("no error in %s", body)
	}
}

func TestPredictReachesTheComponentSigned(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body string
	m := start(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body = r, string(b)
		w.Header().Set("Unip-Model-Etag", `"e"`)
		w.Header().Set("Unip-Model-State", "outdated")
		w.Header().Set("Unip-User", "ann")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"outputs":[]}`)
	})
	resp, answer := m.call(t, "POST", "/pu-ann/leaf/predict?x=1", strings.NewReader(`{"inputs":[]}`), "user",
		"ann:secret",
		"Cookie", "c=1", "X-Forwarded-User", "root", "X-Forwarded-Prefix", "/x", "X-Forwarded-For", "1.2.3.4",
		caller.Header, "forged", "Unip-Other", "x",
		"Knative-Serving-Probe", "x", "K-Network-Hash", "override", "X-Mine", "kept", "Connection", "X-Hop", "X-Hop",
		"x",
		"Upgrade", "websocket")
	if resp.StatusCode != 200 || answer != `{"outputs":[]}` || body != `{"inputs":[]}` {
		t.Fatalf("status %d, answer %q, the component got %q", resp.StatusCode, answer, body)
	}
	if resp.Header.Get("Unip-Model-Etag") != `"e"` || resp.Header.Get("Unip-Model-State") != "outdated" ||
		resp.Header.Get("Unip-User") != "" {
		t.Errorf("answer's header %v", resp.Header)
	}
	if got.Host != "leaf-mlcmp.pu-ann.svc.cluster.local" || got.URL.String() != "/predict?x=1" {
		t.Errorf("host %q, URL %q", got.Host, got.URL)
	}
	c, err := caller.Verify(key, got.Header.Get(caller.Header), "POST", "/predict", "leaf-mlcmp", time.Now())
	if err != nil || c.User != "ann" {
		t.Errorf("claims %+v: %v", c, err)
	}
	if life := c.Expiry.Sub(c.IssuedAt); life != caller.Life {
		t.Errorf("the signature lives %v", life)
	}
	for _, k := range []string{"Authorization", "Cookie", "X-Forwarded-User", "Unip-Other", "Knative-Serving-Probe",
		"K-Network-Hash", "X-Hop", "Upgrade", "Connection"} {
		if v := got.Header.Get(k); v != "" {
			t.Errorf("header %s reached the component: %q", k, v)
		}
	}
	if got.Header.Get("X-Mine") != "kept" || got.Header.Get("X-Forwarded-Prefix") != "/pu-ann/leaf" ||
		strings.Contains(got.Header.Get("X-Forwarded-For"), "1.2.3.4") {
		t.Errorf("header %v", got.Header)
	}
	if tp := got.Header.Get("Traceparent"); len(tp) != 55 {
		t.Errorf("traceparent %q", tp)
	}
}

// Of the calls of which nobody has decided whether they are traced, the gateway marks a share.
func TestTracesAreSampled(t *testing.T) {
	t.Parallel()
	for rate, want := range map[float64]func(n int) bool{
		0: func(n int) bool { return n == 0 }, 1: func(n int) bool { return n == 2000 },
		0.25: func(n int) bool { return 300 < n && n < 700 },
	} {
		sampled := 0
		for range 2000 {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			forward.Trace(r, rate)
			if strings.HasSuffix(r.Header.Get("Traceparent"), "-01") {
				sampled++
			}
		}
		if !want(sampled) {
			t.Errorf("rate %v: %d of 2000 are sampled", rate, sampled)
		}
	}
}

func TestATraceparentIsPassedOn(t *testing.T) {
	t.Parallel()
	const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	var got string
	m := start(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Traceparent") })
	m.call(t, "GET", "/open/openapi.json", nil, "Traceparent", good)
	if got != good {
		t.Errorf("traceparent %q", got)
	}
	later := "cc" + good[2:] + "-what-a-later-version-says" // W3C: read as far as it is known
	if m.call(t, "GET", "/open/openapi.json", nil, "Traceparent", later); got != later {
		t.Errorf("traceparent %q", got)
	}
	for _, bad := range []string{"00-00000000000000000000000000000000-b7ad6b7169203331-01", "x", good + "-y",
		strings.Replace(good, "b7ad6b7169203331", "0000000000000000", 1)} {
		m.call(t, "GET", "/open/openapi.json", nil, "Traceparent", bad)
		if got == bad || len(got) != 55 {
			t.Errorf("for %q: traceparent %q", bad, got)
		}
	}
}

// The component's server always knows who calls, for files are theirs; whether the function may know
// is the API's to say.
func TestWhoIsToldToTheComponent(t *testing.T) {
	t.Parallel()
	var header string
	m := start(t, func(_ http.ResponseWriter, r *http.Request) { header = r.Header.Get(caller.Header) })
	for path, want := range map[string]caller.Claims{
		"open":  {}, // nobody looked at the password
		"quiet": {User: "ann"},
		"leaf":  {User: "ann", Shown: true},
	} {
		m.call(t, "POST", "/"+path+"/predict", nil, "user", "ann:secret")
		got, err := caller.Verify(key, header, "POST", "/predict", path+"-mlcmp", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got.User != want.User || got.Shown != want.Shown {
			t.Errorf("%s: user %q, shown %v", path, got.User, got.Shown)
		}
	}
}

func TestWhoMayNotCall(t *testing.T) {
	t.Parallel()
	m := start(t, func(http.ResponseWriter, *http.Request) { t.Error("the call reached the component") })
	for name, header := range map[string][]string{
		"nobody":           nil,
		"a wrong password": {"user", "ann:wrong"},
		"an unknown user":  {"user", "boris:secret"},
		"no password":      {"user", "ann:"},
		"a bearer token":   {"Authorization", "Bearer secret"},
		"a broken header":  {"Authorization", "Basic !!!"},
		"a claim":          {"X-Forwarded-User", "ann"},
		"no UTF-8":         {"user", "ann\xff:secret"},
	} {
		resp, body := m.call(t, "POST", "/leaf/predict", strings.NewReader("{}"), header...)
		wantProblem(t, resp, body, 401, problem.Unauthorized)
		if got := resp.Header.Get("WWW-Authenticate"); got != `Basic realm="pu-ann", charset="UTF-8"` {
			t.Errorf("%s: WWW-Authenticate %q", name, got)
		}
	}
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	m := start(t, func(http.ResponseWriter, *http.Request) { t.Error("the call reached the component") })
	for _, path := range []string{"/", "/leaf", "/leaf/", "/other/predict", "/leaf/../open/predict", "/open//predict",
		"/open%2Fpredict", "/open/%70redict", "/open/metrics", "/open/healthz"} {
		resp, body := m.call(t, "POST", path, nil, "user", "ann:secret")
		wantProblem(t, resp, body, 404, problem.NotFound)
	}
	for path, allow := range map[string]string{"/leaf/predict": "POST", "/leaf/openapi.json": "GET, HEAD",
		"/leaf/v2/x": "GET, HEAD, POST"} {
		resp, body := m.call(t, "DELETE", path, nil, "user", "ann:secret")
		wantProblem(t, resp, body, 405, problem.MethodNotAllowed)
		if d := cmp.Diff(allow, resp.Header.Get("Allow")); d != "" {
			t.Errorf("%s (-want +got):\n%s", path, d)
		}
	}
}

func TestProbesNeedNothing(t *testing.T) {
	t.Parallel()
	m := start(t, nil)
	for _, path := range []string{"/healthz", "/readyz"} {
		if resp, _ := m.call(t, "GET", path, nil); resp.StatusCode != 200 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
}

func TestABodyOverTheLimit(t *testing.T) {
	t.Parallel()
	m := start(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	resp, body := m.call(t, "POST", "/open/predict", bytes.NewReader(make([]byte, forward.MaxBody+1)))
	wantProblem(t, resp, body, 413, problem.BodyTooLarge)
	unknown := struct{ io.Reader }{io.LimitReader(zeros{}, forward.MaxBody+1)} // sent in chunks, without a length
	resp, body = m.call(t, "POST", "/open/predict", unknown)
	wantProblem(t, resp, body, 413, problem.BodyTooLarge)
	exact := struct{ io.Reader }{io.LimitReader(zeros{}, forward.MaxBody)}
	if resp, _ = m.call(t, "POST", "/open/predict", exact); resp.StatusCode != 200 {
		t.Errorf("a body of exactly the limit: %d", resp.StatusCode)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestAnswersOfWhatStandsBetween(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status      int
		contentType string
		want        int
		slug        string
	}{
		"the activator has no room":             {503, "text/plain", 503, problem.Unavailable},
		"a broken connection of the ingress":    {502, "", 503, problem.Unavailable},
		"the ingress knows no such Service":     {404, "text/plain", 503, problem.Unavailable},
		"queue-proxy ends a call":               {504, "text/plain", 504, problem.Timeout},
		"a problem of the component passes":     {503, problem.ContentType, 503, "of-the-component"},
		"a 404 of the component passes":         {404, problem.ContentType, 404, "of-the-component"},
		"an error of the function passes":       {500, problem.ContentType, 500, "of-the-component"},
		"a refused document passes, in its way": {422, problem.ContentType, 422, "of-the-component"},
	} {
		m := start(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", tc.contentType)
			w.WriteHeader(tc.status)
			_, _ = fmt.Fprintf(w, `{"type":%q,"title":"t","status":%d}`, problem.Base+"of-the-component", tc.status)
		})
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp, body := m.call(t, "POST", "/open/predict", nil)
			wantProblem(t, resp, body, tc.want, tc.slug)
			if tc.slug == problem.Unavailable && resp.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
}

func TestAComponentThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	m := start(t, nil)
	resp, body := m.call(t, "POST", "/open/predict", strings.NewReader("{}"))
	wantProblem(t, resp, body, 503, problem.Unavailable)
	if resp.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", resp.Header.Get("Retry-After"))
	}
	if strings.Contains(body, "cluster.local") || strings.Contains(body, "no route") {
		t.Errorf("the answer tells of the inside: %s", body)
	}
}

func TestADeadline(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	m := start(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-release
	})
	defer close(release)
	// The clock of the gateway stands long ago, so that every call's deadline has nearly come.
	m.gateway.now = func() time.Time {
		return time.Now().Add(-30*time.Second - routes.ColdStart + 200*time.Millisecond)
	}
	resp, body := m.call(t, "POST", "/open/predict", strings.NewReader("{}"))
	wantProblem(t, resp, body, 504, problem.Timeout)
}

func TestTheAnswerIsStreamed(t *testing.T) {
	t.Parallel()
	second := make(chan struct{})
	m := start(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first ")
		_ = http.NewResponseController(w).Flush()
		<-second
		_, _ = io.WriteString(w, "second")
	})
	resp, err := m.Client().Do(m.request(t, "GET", "/open/v2/stream", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 6)
	if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "first " {
		t.Fatalf("%q, %v", b, err)
	}
	close(second)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "second" {
		t.Errorf("%q, %v", rest, err)
	}
}

// Without a key no call goes on, whoever makes it: components answer none that is not signed. One that
// comes, comes into force.
func TestWithoutTheModuleKey(t *testing.T) {
	t.Parallel()
	reached := make(chan string, 2)
	m := start(t, func(_ http.ResponseWriter, r *http.Request) { reached <- r.Header.Get(caller.Header) })
	keyFile := filepath.Join(m.dir, "key")
	for api, user := range map[string]string{"open": "", "leaf": "ann"} {
		if err := os.Remove(keyFile); err != nil {
			t.Fatal(err)
		}
		resp, body := m.call(t, "POST", "/"+api+"/predict", nil, "user", "ann:secret")
		wantProblem(t, resp, body, http.StatusServiceUnavailable, "no-module-key")
		if resp.Header.Get("Retry-After") == "" || len(reached) != 0 {
			t.Errorf("%s: Retry-After %q, %d calls reached the component", api, resp.Header.Get("Retry-After"), len(reached))
		}
		if err := os.WriteFile(keyFile, key, 0o600); err != nil {
			t.Fatal(err)
		}
		resp, body = m.call(t, "POST", "/"+api+"/predict", nil, "user", "ann:secret")
		if resp.StatusCode != 200 {
			t.Fatalf("%s: %d %s", api, resp.StatusCode, body)
		}
		if c, err := caller.Verify(key, <-reached, "POST", "/predict", api+"-mlcmp", time.Now()); err != nil ||
			c.User != user {
			t.Errorf("%s: %+v %v", api, c, err)
		}
	}
}

func TestAPathThatIsTooLong(t *testing.T) {
	t.Parallel()
	m := start(t, func(http.ResponseWriter, *http.Request) { t.Error("the call reached the component") })
	resp, body := m.call(t, "GET", "/open/v2/"+strings.Repeat("x", caller.MaxHeader), nil)
	wantProblem(t, resp, body, http.StatusRequestURITooLong, problem.BadRequest)
}
