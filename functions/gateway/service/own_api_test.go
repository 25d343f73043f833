package service

import (
	"context"
	"encoding/json"
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
	"github.com/unip-knative/unip/functions/gateway/service/memory"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// pipelines is a module with these APIs, and the runs that they have started. Its Secrets users,
// others and both have ann, boris, and the two of them.
type pipelines struct {
	module
	store *memory.Store
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
	store := memory.New(trainPipeline)
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

// apis writes APIs of a module: "NAME [PIPELINE] [SECRET] [passed] [trusts]" one after the other, with
// commas between. Without a pipeline it is the general one; without a Secret it is open.
func apis(text string) string {
	var all []string
	for one := range strings.SplitSeq(text, ",") {
		words := strings.Fields(one)
		a := routes.API{Name: words[0], Kind: routes.KindPipelines, Path: routes.KindPipelines}
		for _, w := range words[1:] {
			switch w {
			case "fit", "tell":
				a.Kind, a.Path, a.Target = routes.KindPipeline, a.Name, w
				a.Spec.Inputs, a.Spec.Outputs = []routes.Variable{{Name: "photos"}}, []routes.Variable{{Name: "model"}}
			case "component":
				a.Kind, a.Path, a.Target, a.TimeoutSeconds = routes.KindMLComponent, a.Name, "fit", 1
			case "passed":
				a.IdentityPassThrough = true
			case "trusts":
				a.TrustedOrigins = []string{"https://a.example"}
			default:
				a.Auth = &routes.Auth{Basic: &routes.Basic{Credentials: w}}
			}
		}
		all = append(all, string(must(json.Marshal(a))))
	}
	return strings.Join(all, ",")
}

// A run that is asked for in general is one of the pipeline's own API: it lets in whom that lets in,
// as whom that does, behind what the general one wants.
func TestARunAskedForInGeneralIsOneOfThePipelinesAPI(t *testing.T) {
	t.Parallel()
	logins := map[string][]string{
		"ann": {"user", "ann:secret"}, "boris": {"user", "boris:hidden"}, "nobody": nil,
		"boris with ann's password": {"user", "boris:secret"},
		"ann's browser, elsewhere":  {"user", "ann:secret", "Sec-Fetch-Site", "cross-site"},
		"ann at a.example":          {"user", "ann:secret", "Origin", "https://a.example"},
	}
	for name, tc := range map[string]struct{ apis, who, want string }{
		"its user":               {"runs both, fit fit users", "ann", "fit ann"},
		"passed on":              {"runs both, fit fit users passed", "ann", "fit ann!"},
		"passed on by no other":  {"runs both passed, fit fit users", "ann", "fit ann"},
		"another user":           {"runs both, fit fit others", "ann", "401 unauthorized"},
		"a user of its own only": {"runs users, fit fit both", "boris", "401 unauthorized"},
		"nobody":                 {"runs both, fit fit both", "nobody", "401 unauthorized"},
		"nobody, without any":    {"runs both", "nobody", "401 unauthorized"},
		"without any":            {"runs both", "ann", "404 not-found"},
		"of another pipeline":    {"runs both, tell tell both", "ann", "404 not-found"},
		"of a component":         {"runs both, fit component both", "ann", "404 not-found"},
		"not in general":         {"fit fit both", "ann", "404 not-found"},
		"open in general":        {"runs, fit fit users", "ann", "fit ann"},
		"open in general only":   {"runs, fit fit users", "nobody", "401 unauthorized"},
		"open for itself":        {"runs both, fit fit passed", "ann", "fit anonymous"},
		"open for itself only":   {"runs both, fit fit", "nobody", "401 unauthorized"},
		"the second lets in":     {"runs both, b fit others passed, a fit users", "boris", "fit boris!"},
		"the first by name":      {"runs both, b fit both passed, a fit both", "ann", "fit ann"},
		"an open one between":    {"runs both, a fit users, b fit, c fit others", "boris", "fit anonymous"},
		"a wrong password":       {"runs, a fit users, b fit others", "boris with ann's password", "401 unauthorized"},
		"another site's page":    {"runs both, fit fit both", "ann's browser, elsewhere", "403 cross-origin"},
		"a page one trusts":      {"runs both trusts, fit fit both", "ann at a.example", "403 cross-origin"},
		"a page its own trusts":  {"runs both, fit fit both trusts", "ann at a.example", "403 cross-origin"},
		"a page both trust":      {"runs both trusts, fit fit both trusts", "ann at a.example", "fit ann"},
	} {
		if got := startPipelines(t, apis(tc.apis), nil).run(t, "{}", logins[tc.who]...); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// What a caller may name, and how much, is that API's too.
func TestARunAskedForInGeneralNamesWhatTheAPIHas(t *testing.T) {
	t.Parallel()
	m := startPipelines(t, apis("runs both, fit fit both"), nil)
	for name, body := range map[string]string{
		"an internal variable":   `{"inputs":{"features":"userdata/in/a"}}`,
		"an output as an input":  `{"inputs":{"model":"userdata/in/a"}}`,
		"an input as an output":  `{"outputs":{"photos":"userdata/out/"}}`,
		"a box that is not here": `{"outputs":{"model":"elsewhere/out/"}}`,
		"no JSON":                `{`,
	} {
		general, own := m.run(t, body, "user", "ann:secret"), m.runAt(t, "/fit/run", body, "user", "ann:secret")
		if general != own || own != "400 bad-request" {
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
	m := startPipelines(t, apis("runs both, fit fit both"), nil)
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
	// The Secrets are rules for tokens here.
	rules := func(text string) string {
		text = apis(text)
		for name, users := range map[string]string{"all": "", "anns": `,"users":["oidc:ann"]`,
			"boriss": `,"users":["oidc:boris"]`} {
			text = strings.ReplaceAll(text, `{"basic":{"credentials":"`+name+`"}}`, fmt.Sprintf(
				`{"oidc":{"issuer":%q,"clientId":"end-users","userClaim":"preferred_username","userPrefix":"oidc:"%s}}`,
				p.URL, users))
		}
		return text
	}
	for apis, want := range map[string]map[string]string{
		"runs all, fit fit anns": {"ann": "fit oidc:ann", "boris": "403 not-allowed"},
		"runs anns, fit fit all": {"ann": "fit oidc:ann", "boris": "403 not-allowed"},
		"runs anns":              {"ann": "404 not-found", "boris": "403 not-allowed"},
		"runs all, a fit anns, b fit boriss passed": {"ann": "fit oidc:ann", "boris": "fit oidc:boris!",
			"carl": "403 not-allowed"},
		"runs all, fit fit users": {"ann": "401 unauthorized"},
	} {
		m := startPipelines(t, rules(apis), p)
		got := map[string]string{}
		for user := range want {
			got[user] = m.run(t, "{}", "Authorization", "Bearer "+p.token(map[string]any{"preferred_username": user}))
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", apis, got, want)
		}
	}
}

// A password that is another API's is one attempt, not a wrong one more at each of the APIs.
func TestSeveralSecretsAreOneAttempt(t *testing.T) {
	t.Parallel()
	m := startPipelines(t, apis("runs, a fit users, b fit others"), nil)
	for range 10 {
		if got := m.run(t, "{}", "user", "boris:hidden"); got != "fit boris" {
			t.Fatal(got)
		}
	}
	if got := m.runAt(t, "/b/run", "{}", "user", "boris:hidden"); got != "fit boris" {
		t.Error(got)
	}
}

// Where the installation says that they are the same, a run of a Basic user is that of the realm's
// user of the same name; without it, as for an issuer that only the module names, it is another's.
func TestOneUserByBothWays(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "")
	for same, want := range map[bool]map[string]int{
		true:  {"ann": http.StatusOK, "boris": http.StatusNotFound, "oidc:ann": http.StatusNotFound},
		false: {"ann": http.StatusNotFound, "boris": http.StatusNotFound, "oidc:ann": http.StatusNotFound},
	} {
		text := strings.ReplaceAll(apis("runs both, fit fit both"), `{"basic":{"credentials":"both"}}`, fmt.Sprintf(
			`{"basic":{"credentials":"both"},"oidc":{"issuer":%q,"clientId":"end-users","userClaim":"preferred_username",`+
				`"userPrefix":"oidc:","sameAsBasic":%t}}`, p.URL, same))
		m := startPipelines(t, text, p)
		if got := m.run(t, "{}", "user", "ann:secret"); got != "fit ann" {
			t.Fatal(got)
		}
		runs, err := m.store.Runs(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for user, status := range want {
			resp, body := m.call(t, http.MethodGet, "/pipelines/runs/"+runs[0].Name, nil,
				"Authorization", "Bearer "+p.token(map[string]any{"preferred_username": user}))
			if resp.StatusCode != status {
				t.Errorf("same %t, %s: %d %s, want %d", same, user, resp.StatusCode, body, status)
			}
		}
	}
}
