package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/internal/caller"
)

// key of the module in these tests.
var key = strings.Repeat("k", 32)

// send sends a request, and gives the answer's status and body.
func (c *component) send(method, path string, header ...string) (int, string) {
	c.t.Helper()
	return c.sendBody(method, path, "{}", header...)
}

// sendBody sends one with a body.
func (c *component) sendBody(method, path, body string, header ...string) (int, string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// Who has no signature of the gateway is told how to call, on every path; only the questions about
// health, which Knative asks, are anybody's.
func TestUnsignedCallsAreRefused(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo", func(s *setup) { s.anonymous = false }).awaitReady()
	c.write("key", key)
	for _, call := range []string{
		"POST /predict", "GET /predict", "GET /openapi.json", "GET /openapi", "GET /v2", "GET /v2/health/live",
		"GET /v2/health/ready", "GET /v2/models/leaf", "POST /v2/models/leaf/infer", "GET /", "GET /metrics",
		"POST /healthz", "PUT /readyz", "OPTIONS /readyz", "GET /readyz/", "GET /healthz%2f", "GET /readyz/../predict",
		"GET //readyz", "OPTIONS /predict",
	} {
		method, path, _ := strings.Cut(call, " ")
		for name, header := range map[string][]string{
			"nothing": nil, "an empty signature": {caller.Header, ""}, "a claim": {"X-Forwarded-User", "ann"},
			"a probe's name": {"User-Agent", "kube-probe/1.34", "K-Network-Probe", "queue"},
		} {
			status, body := c.send(method, path, header...)
			if status != http.StatusUnauthorized || !strings.Contains(body, "gateway") ||
				!strings.Contains(body, "anonymous-calls") {
				t.Errorf("%s with %s: %d %s", call, name, status, body)
			}
		}
	}
	for _, call := range []string{"GET /healthz", "HEAD /healthz", "GET /readyz", "HEAD /readyz", "GET /readyz?x=1"} {
		method, path, _ := strings.Cut(call, " ")
		if status, body := c.send(method, path); status != http.StatusOK {
			t.Errorf("%s: %d %s", call, status, body)
		}
	}
	// The gateway signs for nobody, too: that is what an API without auth is.
	h, err := caller.Sign([]byte(key), caller.Claims{Audience: "leaf", Method: "POST", Path: "/predict",
		IssuedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	c.predict(200, "{}", caller.Header, h)
	c.predict(401, "{}", caller.Header, h)
}

// A function is told who calls where the gateway says that it may know, by both forms of a call;
// else it is told None, whatever the caller writes. The server knows in any case: files are theirs.
func TestWhoTheFunctionIsToldCalls(t *testing.T) {
	t.Parallel()
	c := start(t, `
def f(inputs, user):
    return [{"name": "who", "datatype": "str", "data": [repr(user)], "shape": [1]}]
`, "f", func(s *setup) { s.anonymous = false }).awaitReady()
	c.write("key", key)
	const claimed = `{"inputs":[],"user":"boris","parameters":{"user":"boris"}}`
	for name, tc := range map[string]struct {
		user  string
		shown bool
		want  string
	}{
		"shown":              {"ann", true, `'ann'`},
		"a name of any kind": {`oidc:Аня "numbers": \ <x>`, true, `'oidc:Аня \"numbers\": \\\\ <x>'`},
		"not shown":          {"ann", false, "None"},
		"nobody":             {"", true, "None"},
	} {
		for _, path := range []string{"/predict", "/v2/models/leaf/infer"} {
			h, err := caller.Sign([]byte(key), caller.Claims{User: tc.user, Shown: tc.shown, Audience: "leaf",
				Method: "POST", Path: path, IssuedAt: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			status, body := c.sendBody("POST", path, claimed, caller.Header, h, "X-Forwarded-User", "boris")
			if status != http.StatusOK || !strings.Contains(body, `"`+tc.want+`"`) {
				t.Errorf("%s at %s: %d %s", name, path, status, body)
			}
		}
	}
}

// A function that takes whatever there is gets it too; one that wants no name gets none.
func TestAFunctionNeedNotAskWhoCalls(t *testing.T) {
	t.Parallel()
	for function, want := range map[string]string{
		"def f(inputs, **rest): return {'who': repr(rest.get('user'))}":      `"'ann'"`,
		"def f(inputs): return {'who': 'nobody'}":                            `"nobody"`,
		"def f(inputs, user='somebody'): return {'who': repr(user)}":         `"'ann'"`,
		"async def f(user, *, inputs): return {'who': repr(user)}":           `"'ann'"`,
		"class C:\n def __call__(self, user): return {'who': user}\nf = C()": `"ann"`,
	} {
		c := start(t, function+"\n", "f", func(s *setup) { s.anonymous = false }).awaitReady()
		c.write("key", key)
		h, err := caller.Sign([]byte(key), caller.Claims{User: "ann", Shown: true, Audience: "leaf", Method: "POST",
			Path: "/predict", IssuedAt: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if a := c.predict(200, "{}", caller.Header, h); !strings.Contains(a.body, want) {
			t.Errorf("%s: %s", function, a.body)
		}
	}
}

// A problem names the path that was called at the gateway, which alone says where that is.
func TestInstanceIsTheCallersPath(t *testing.T) {
	t.Parallel()
	c := startPython(t, "-S", echo, "echo", func(s *setup) { s.anonymous = true }).awaitReady()
	c.write("key", key)
	h, err := caller.Sign([]byte(key), caller.Claims{User: "ann", Audience: "leaf", Method: "POST", Path: "/predict",
		IssuedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for want, header := range map[string][]string{
		"/pu-ann/leaf/predict": {caller.Header, h, "X-Forwarded-Prefix", "/pu-ann/leaf"},
		"/predict":             {"X-Forwarded-Prefix", "/pu-ann/leaf"}, // anybody may write that
	} {
		_, body := c.sendBody("POST", "/predict", "no JSON", header...)
		if !strings.Contains(body, `"instance":"`+want+`"`) {
			t.Errorf("%s, want %s", body, want)
		}
	}
}
