package service

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/internal/bearer"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// pipelines is a module with these APIs, and the runs that they have started. Its Secrets users,
// others and both have ann, boris, and the two of them.
type pipelines struct {
	module
	store *memory
}

func startPipelines(t *testing.T, apis string, p *provider) pipelines {
	t.Helper()
	dir := t.TempDir()
	for name, password := range map[string]string{
		"users/ann": "secret", "others/boris": "hidden", "both/ann": "secret", "both/boris": "hidden",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := routes.Decode([]byte(`{"apis":[` + apis + `],"pipelines":["fit","tell"]}`))
	if err != nil {
		t.Fatal(err)
	}
	store := newMemory()
	g, err := New(Options{Namespace: "pu-ann", Routes: file, Passwords: dir, Runs: store})
	if err != nil {
		t.Fatal(err)
	}
	if p != nil {
		g.tokens = bearer.New(p.Client().Transport)
	}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	return pipelines{module{srv, g, dir}, store}
}

// run asks for a run of fit in general, and gives the answer's status and slug; or the user's name,
// where a run has started, with a ! where its stages may know it.
func (m pipelines) run(t *testing.T, body string, header ...string) string {
	t.Helper()
	return m.runAt(t, "/pu-ann/pipelines/fit/run", body, header...)
}

func (m pipelines) runAt(t *testing.T, path, body string, header ...string) string {
	t.Helper()
	before, err := m.store.Runs(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, r := range before {
		known[r.Name] = true
	}
	resp, answer := m.call(t, http.MethodPost, path, strings.NewReader(body), header...)
	after, err := m.store.Runs(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range after {
		if !known[r.Name] {
			if resp.StatusCode != http.StatusAccepted {
				t.Errorf("%d %s, and yet a run", resp.StatusCode, answer)
			}
			if r.Spec.IdentityPassThrough {
				return r.Spec.Pipeline + " " + r.Spec.User + "!"
			}
			return r.Spec.Pipeline + " " + r.Spec.User
		}
	}
	_, slug, _ := strings.Cut(answer, problem.Base)
	slug, _, _ = strings.Cut(slug, `"`)
	return fmt.Sprint(resp.StatusCode, " ", slug)
}

func apiOf(name, pipeline, rest string) string {
	return fmt.Sprintf(`{"name":%q,"kind":"experimentPipeline","path":%[1]q,"target":%q,"apiSpec":{"inputs":[{"name":"photos","required":false}],"outputs":[{"name":"model","required":false}]}%s}`,
		name, pipeline, rest)
}

func general(rest string) string {
	return `{"name":"runs","kind":"pipelines","path":"pipelines"` + rest + `}`
}

func secret(name string) string { return `,"auth":{"basic":{"credentials":"` + name + `"}}` }

// A run that is asked for in general is one of the pipeline's own API: it lets in whom that lets in,
// as whom that does, behind what the general one wants.
func TestARunAskedForInGeneralIsOneOfThePipelinesAPI(t *testing.T) {
	t.Parallel()
	ann, boris := []string{"user", "ann:secret"}, []string{"user", "boris:hidden"}
	for name, tc := range map[string]struct {
		apis   []string
		header []string
		want   string
	}{
		"its user":               {[]string{general(secret("both")), apiOf("fit", "fit", secret("users"))}, ann, "fit ann"},
		"passed on":              {[]string{general(secret("both")), apiOf("fit", "fit", secret("users")+`,"identityPassThrough":true`)}, ann, "fit ann!"},
		"passed on by no other":  {[]string{general(secret("both") + `,"identityPassThrough":true`), apiOf("fit", "fit", secret("users"))}, ann, "fit ann"},
		"another user":           {[]string{general(secret("both")), apiOf("fit", "fit", secret("others"))}, ann, "401 unauthorized"},
		"a user of its own only": {[]string{general(secret("users")), apiOf("fit", "fit", secret("both"))}, boris, "401 unauthorized"},
		"nobody":                 {[]string{general(secret("both")), apiOf("fit", "fit", secret("both"))}, nil, "401 unauthorized"},
		"nobody, without any":    {[]string{general(secret("both"))}, nil, "401 unauthorized"},
		"without any":            {[]string{general(secret("both"))}, ann, "404 not-found"},
		"of another pipeline":    {[]string{general(secret("both")), apiOf("tell", "tell", secret("both"))}, ann, "404 not-found"},
		"of a component's":       {[]string{general(secret("both")), `{"name":"fit","kind":"mlComponent","path":"fit","target":"fit","timeoutSeconds":1}`}, ann, "404 not-found"},
		"not in general":         {[]string{apiOf("fit", "fit", secret("both"))}, ann, "404 not-found"},
		"open in general":        {[]string{general(""), apiOf("fit", "fit", secret("users"))}, ann, "fit ann"},
		"open in general only":   {[]string{general(""), apiOf("fit", "fit", secret("users"))}, nil, "401 unauthorized"},
		"open for itself":        {[]string{general(secret("both")), apiOf("fit", "fit", `,"identityPassThrough":true`)}, ann, "fit anonymous"},
		"open for itself only":   {[]string{general(secret("both")), apiOf("fit", "fit", "")}, nil, "401 unauthorized"},
		"the second lets in": {[]string{general(secret("both")), apiOf("b", "fit", secret("others")+`,"identityPassThrough":true`),
			apiOf("a", "fit", secret("users"))}, boris, "fit boris!"},
		"the first by name": {[]string{general(secret("both")), apiOf("b", "fit", secret("both")+`,"identityPassThrough":true`),
			apiOf("a", "fit", secret("both"))}, ann, "fit ann"},
		"an open one behind": {[]string{general(secret("both")), apiOf("a", "fit", secret("users")), apiOf("b", "fit", ""),
			apiOf("c", "fit", secret("others"))}, boris, "fit anonymous"},
		"a wrong password": {[]string{general(""), apiOf("a", "fit", secret("users")), apiOf("b", "fit", secret("others"))},
			[]string{"user", "boris:secret"}, "401 unauthorized"},
		"a page of another site": {[]string{general(secret("both")), apiOf("fit", "fit", secret("both"))},
			append([]string{"Sec-Fetch-Site", "cross-site"}, ann...), "403 cross-origin"},
		"a page that the general one trusts": {[]string{general(secret("both") + `,"trustedOrigins":["https://a.example"]`),
			apiOf("fit", "fit", secret("both"))}, append([]string{"Origin", "https://a.example"}, ann...), "403 cross-origin"},
		"a page that its own trusts": {[]string{general(secret("both")),
			apiOf("fit", "fit", secret("both")+`,"trustedOrigins":["https://a.example"]`)},
			append([]string{"Origin", "https://a.example"}, ann...), "403 cross-origin"},
		"a page that both trust": {[]string{general(secret("both") + `,"trustedOrigins":["https://a.example"]`),
			apiOf("fit", "fit", secret("both")+`,"trustedOrigins":["https://a.example"]`)},
			append([]string{"Origin", "https://a.example"}, ann...), "fit ann"},
	} {
		if got := startPipelines(t, strings.Join(tc.apis, ","), nil).run(t, "{}", tc.header...); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// What a caller may name, and how much, is that API's too.
func TestARunAskedForInGeneralNamesWhatTheAPIHas(t *testing.T) {
	t.Parallel()
	m := startPipelines(t, general(secret("both"))+","+apiOf("fit", "fit", secret("both")), nil)
	for name, body := range map[string]string{
		"an internal variable":   `{"inputs":{"features":"userdata/in/a"}}`,
		"an output as an input":  `{"inputs":{"model":"userdata/in/a"}}`,
		"an input as an output":  `{"outputs":{"photos":"userdata/out/"}}`,
		"a box that is not here": `{"outputs":{"model":"elsewhere/out/"}}`,
		"no JSON":                `{`,
	} {
		general := m.run(t, body, "user", "ann:secret")
		if own := m.runAt(t, "/pu-ann/fit/run", body, "user", "ann:secret"); general != own || own != "400 bad-request" {
			t.Errorf("%s: %s, by its own API %s", name, general, own)
		}
	}
	if got := m.run(t, strings.Repeat(" ", 65<<10), "user", "ann:secret"); got != "413 body-too-large" {
		t.Error(got)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		resp, body := m.call(t, method, "/pu-ann/pipelines/fit/run", nil, "user", "ann:secret")
		wantProblem(t, resp, body, http.StatusMethodNotAllowed, problem.MethodNotAllowed)
	}
}

// The same call by either path is one run: Idempotency-Keys are the user's and the pipeline's.
func TestARunAskedForInGeneralIsTheSameRun(t *testing.T) {
	t.Parallel()
	m := startPipelines(t, general(secret("both"))+","+apiOf("fit", "fit", secret("both")), nil)
	if got := m.run(t, "{}", "user", "ann:secret", "Idempotency-Key", "monday"); got != "fit ann" {
		t.Error(got)
	}
	if got := m.runAt(t, "/fit/run", "{}", "user", "ann:secret", "Idempotency-Key", "monday"); got != "202 " {
		t.Error(got)
	}
	if got := m.run(t, "{}", "user", "boris:hidden", "Idempotency-Key", "monday"); got != "fit boris" {
		t.Error(got)
	}
}

// Users and groups hold there, too; who is named by one of several APIs is let in by that one.
func TestARunAskedForInGeneralWantsANamedUser(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "")
	token := func(more string) string {
		return fmt.Sprintf(
			`,"auth":{"oidc":{"issuer":%q,"clientId":"end-users","userClaim":"preferred_username","userPrefix":"oidc:"%s}}`,
			p.URL, more)
	}
	with := func(user string) []string {
		return []string{"Authorization", "Bearer " + p.token(map[string]any{"preferred_username": user})}
	}
	anns, boriss := token(`,"users":["oidc:ann"]`), token(`,"users":["oidc:boris"]`)+`,"identityPassThrough":true`
	for name, tc := range map[string]struct {
		apis []string
		want map[string]string
	}{
		"one": {[]string{general(token("")), apiOf("fit", "fit", anns)}, map[string]string{"ann": "fit oidc:ann",
			"boris": "403 not-allowed"}},
		"in general": {[]string{general(anns), apiOf("fit", "fit", token(""))}, map[string]string{"ann": "fit oidc:ann",
			"boris": "403 not-allowed"}},
		"in general, without any": {[]string{general(anns)}, map[string]string{"ann": "404 not-found",
			"boris": "403 not-allowed"}},
		"several": {[]string{general(token("")), apiOf("a", "fit", anns), apiOf("b", "fit", boriss)}, map[string]string{
			"ann": "fit oidc:ann", "boris": "fit oidc:boris!", "carl": "403 not-allowed"}},
		"by another way": {[]string{general(token("")), apiOf("fit", "fit", secret("users"))}, map[string]string{
			"ann": "401 unauthorized"}},
	} {
		m := startPipelines(t, strings.Join(tc.apis, ","), p)
		got := map[string]string{}
		for user := range tc.want {
			got[user] = m.run(t, "{}", with(user)...)
		}
		if !maps.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// A password that is another API's is one attempt, not a wrong one more at each of the APIs.
func TestSeveralSecretsAreOneAttempt(t *testing.T) {
	t.Parallel()
	m := startPipelines(t, general("")+","+apiOf("a", "fit", secret("users"))+","+apiOf("b", "fit", secret("others")), nil)
	for range 10 {
		if got := m.run(t, "{}", "user", "boris:hidden"); got != "fit boris" {
			t.Fatal(got)
		}
	}
	if got := m.runAt(t, "/b/run", "{}", "user", "boris:hidden"); got != "fit boris" {
		t.Error(got)
	}
}
