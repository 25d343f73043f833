package routes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/functions/gateway/internal/bearer"
	"github.com/unip-knative/unip/translate/resources"
)

const file = `{"apis":[
 {"name":"leaf-api","kind":"mlComponent","path":"leaf","target":"leaf-mlcmp","timeoutSeconds":300,"auth":{"basic":{"credentials":"leaves-users"}},"identityPassThrough":true},
 {"name":"deep","kind":"mlComponent","path":"leaf/v2/deep","target":"deep","timeoutSeconds":1},
 {"name":"named-predict","kind":"mlComponent","path":"leaf/predict","target":"odd","timeoutSeconds":1},
 {"name":"like-the-namespace","kind":"mlComponent","path":"pu-ann/x","target":"same","timeoutSeconds":1}
]}`

func Example() {
	t, err := Parse([]byte(file), "pu-ann", "")
	if err != nil {
		panic(err)
	}
	m, ok := t.Find("/pu-ann/leaf/predict")
	fmt.Println(ok, m.API.Target, m.Upstream, m.Prefix, m.Methods)
	// Output: true leaf-mlcmp /predict /pu-ann/leaf [POST]
}

func TestFind(t *testing.T) {
	t.Parallel()
	table, err := Parse([]byte(file), "pu-ann", "")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/leaf/predict":                  "leaf-mlcmp /predict",
		"/pu-ann/leaf/predict":           "leaf-mlcmp /predict",
		"/leaf/openapi.json":             "leaf-mlcmp /openapi.json",
		"/pu-ann/leaf/openapi":           "leaf-mlcmp /openapi",
		"/leaf/v2":                       "leaf-mlcmp /v2",
		"/leaf/v2/models/leaf/infer":     "leaf-mlcmp /v2/models/leaf/infer",
		"/leaf/v2/deep/predict":          "deep /predict",
		"/leaf/v2/deep":                  "leaf-mlcmp /v2/deep",
		"/leaf/predict/predict":          "odd /predict",
		"/pu-ann/x/predict":              "same /predict",
		"/pu-ann/pu-ann/x/predict":       "same /predict",
		"/other/leaf/predict":            "",
		"/leaf":                          "",
		"/leaf/":                         "",
		"/leaf/predict/":                 "",
		"/leaf//predict":                 "",
		"//leaf/predict":                 "",
		"/leaf/./predict":                "",
		"/x/../leaf/predict":             "",
		"/leaf/%70redict":                "",
		"/leaf%2Fpredict":                "",
		"/%2e%2e/leaf/predict":           "",
		"/leaf/v2/../predict":            "",
		"/leaf/v2/..;/predict":           "",
		`/leaf/v2/a\b`:                   "",
		"/LEAF/predict":                  "",
		"/leaf/predictx":                 "",
		"/leaf/openapi.json/x":           "",
		"/leaf/healthz":                  "",
		"/predict":                       "",
		"/":                              "",
		"":                               "",
		"*":                              "",
		"leaf/predict":                   "",
		"/pu-ann":                        "",
		"/pu-ann/pu-ann/leaf/predict":    "",
		"/leaf/predict/v2/x/../../leaf/": "",
	} {
		m, ok := table.Find(path)
		got := m.API.Target + " " + m.Upstream
		if !ok {
			got = ""
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	api := func(change, to string) string {
		s := `{"name":"a","kind":"mlComponent","path":"p","target":"t","timeoutSeconds":30}`
		if change != "" && !strings.Contains(s, change) {
			panic(change)
		}
		return `{"apis":[` + strings.Replace(s, change, to, 1) + `]}`
	}
	for name, tc := range map[string]struct{ in, want string }{
		"an unknown field":       {api(`"path"`, `"paths":1,"path"`), "unknown field"},
		"an unknown top field":   {`{"apis":[],"x":1}`, "unknown field"},
		"no JSON":                {`apis:`, "invalid character"},
		"two values":             {`{"apis":[]}{}`, "more than one"},
		"an unknown kind":        {api(`"mlComponent"`, `"gopher"`), `unknown kind "gopher"`},
		"no name":                {api(`"name":"a"`, `"name":""`), "no name"},
		"a path with a dot-dot":  {api(`"p"`, `"a/../b"`), "a segment is"},
		"a path with a slash":    {api(`"p"`, `"/a"`), "a segment is"},
		"an empty path":          {api(`"p"`, `""`), "a segment is"},
		"a path to be escaped":   {api(`"p"`, `"a b"`), "a segment is"},
		"a target with a domain": {api(`"t"`, `"t.other"`), "not the name of a Service"},
		"a target with a port":   {api(`"t"`, `"t:80"`), "not the name of a Service"},
		"no timeout":             {api(`30`, `0`), "not within 1 to 600"},
		"a timeout over the top": {api(`30`, `601`), "not within 1 to 600"},
		"an empty auth":          {api(`30`, `30,"auth":{}`), "no way to log in"},
		"an unknown auth":        {api(`30`, `30,"auth":{"bearer":{}}`), "unknown field"},
		"a Secret with a path":   {api(`30`, `30,"auth":{"basic":{"credentials":"../x"}}`), "not the name of a Secret"},
		"no issuer":              {api(`30`, `30,"auth":{"oidc":{"clientId":"c","userClaim":"sub","userPrefix":"oidc:"}}`), `issuer "" is not a URL`},
		"an issuer in a file":    {api(`30`, `30,"auth":{"oidc":{"issuer":"file:///etc/x","clientId":"c","userClaim":"sub","userPrefix":"oidc:"}}`), `is not a URL`},
		"no client":              {api(`30`, `30,"auth":{"oidc":{"issuer":"https://a.example","userClaim":"sub","userPrefix":"oidc:"}}`), "the tokens of every client"},
		"no claim":               {api(`30`, `30,"auth":{"oidc":{"issuer":"https://a.example","clientId":"c","userPrefix":"oidc:"}}`), "not the name of a claim"},
		"a claim with a quote":   {api(`30`, `30,"auth":{"oidc":{"issuer":"https://a.example","clientId":"c","userClaim":"a\"b","userPrefix":"oidc:"}}`), "not the name of a claim"},
		"a prefix like a name":   {api(`30`, `30,"auth":{"oidc":{"issuer":"https://a.example","clientId":"c","userClaim":"sub","userPrefix":"oidc-"}}`), "no colon"},
		"an origin with a path":  {api(`30`, `30,"trustedOrigins":["https://a.example/"]`), "not an origin"},
		"an origin of all":       {api(`30`, `30,"trustedOrigins":["*"]`), "not an origin"},
		"no origin":              {api(`30`, `30,"trustedOrigins":["null"]`), "not an origin"},
		"an origin in capitals":  {api(`30`, `30,"trustedOrigins":["https://A.example"]`), "not an origin"},
		"a double path":          {`{"apis":[{"name":"a","kind":"mlComponent","path":"p","target":"t","timeoutSeconds":30},{"name":"b","kind":"mlComponent","path":"p","target":"t","timeoutSeconds":30}]}`, "same path"},
	} {
		if _, err := Parse([]byte(tc.in), "ns", ""); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", name, err, tc.want)
		}
	}
	if _, err := Parse([]byte(`{"apis":[]}`), "no/namespace", ""); err == nil {
		t.Error("a wrong namespace is no error")
	}
	if _, err := Parse(make([]byte, MaxFile+1), "ns", ""); err == nil {
		t.Error("a file over the limit is no error")
	}
}

// What the translator writes is what the gateway reads, field by field.
func TestTheTranslatorsFile(t *testing.T) {
	t.Parallel()
	file := resources.MakeRoutes(resources.Module{Namespace: "ns"}, []resources.Route{{
		Name: "a", Kind: KindMLComponent, Path: "p", Target: "t", TimeoutSeconds: 30, IdentityPassThrough: true, TrustedOrigins: []string{"https://app.example.org:8443"},
		Auth: &resources.RouteAuth{
			Basic: &resources.RouteBasic{Credentials: "users"},
			OIDC:  &resources.RouteOIDC{Issuer: "https://a.example/realms/r", ClientID: "c", UserClaim: "sub", UserPrefix: "oidc:"},
		},
	}}, resources.Storage{}).Data["routes.json"]
	table, err := Parse([]byte(file), "ns", "")
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	want := []API{{
		Name: "a", Kind: KindMLComponent, Path: "p", Target: "t", TimeoutSeconds: 30, IdentityPassThrough: true, TrustedOrigins: []string{"https://app.example.org:8443"},
		Auth: &Auth{&Basic{"users"}, &bearer.Rules{Issuer: "https://a.example/realms/r", ClientID: "c", UserClaim: "sub", UserPrefix: "oidc:"}},
	}}
	if d := cmp.Diff(want, table.APIs()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Whatever the path is, a match only ever has exact segments of the path itself: it rebuilds to the same bytes.
func FuzzFind(f *testing.F) {
	table, err := Parse([]byte(file), "pu-ann", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("/pu-ann/leaf/v2/x")
	f.Add("/leaf/%2e%2e/predict")
	f.Fuzz(func(t *testing.T, path string) {
		m, ok := table.Find(path)
		if !ok {
			return
		}
		if d := cmp.Diff(path, m.Prefix+m.Upstream); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if strings.Contains(m.Upstream, "..") && strings.Contains(m.Upstream, "/../") {
			t.Errorf("upstream %q", m.Upstream)
		}
	})
}
