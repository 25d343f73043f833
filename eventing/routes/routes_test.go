package routes_test

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/routes"
)

// every has an API of each kind, and paths that meet.
const every = `{"apis":[
 {"name":"leaf","kind":"mlComponent","path":"leaf","target":"leaf","timeoutSeconds":300,"auth":{"basic":{"credentials":"users"}}},
 {"name":"deep","kind":"mlComponent","path":"leaf/v2/deep","target":"deep","timeoutSeconds":1},
 {"name":"ns","kind":"mlComponent","path":"pu-ann/x","target":"same","timeoutSeconds":1},
 {"name":"train","kind":"experimentPipeline","path":"train","target":"train"},
 {"name":"runs","kind":"pipelines","path":"pipelines"},
 {"name":"files","kind":"files","path":"files"}
],"boxes":["data"],"pipelines":["train"]}`

// parse reads a file as a gateway does.
func parse(b []byte) (routes.File, error) {
	f, err := routes.Decode(b)
	if err == nil {
		err = f.Validate()
	}
	return f, err
}

// named is an API for tokens that says who may call.
func named(who string) string {
	return `30,"auth":{"oidc":{"issuer":"https://a.example","clientId":"c","userClaim":"sub","userPrefix":"oidc:",` + who +
		`}}`
}

// What is written is what is read, field by field.
func TestWhatIsWrittenIsRead(t *testing.T) {
	t.Parallel()
	want := routes.File{
		APIs: []routes.API{{
			Name: "a", Kind: routes.KindMLComponent, Path: "p", Target: "t", TimeoutSeconds: 30,
			IdentityPassThrough: true,
			TrustedOrigins:      []string{"https://app.example.org:8443"},
			Auth: &routes.Auth{
				Basic: &routes.Basic{Credentials: "users"},
				OIDC: &routes.OIDC{
					Issuer: "https://a.example/realms/r", ClientID: "c", UserClaim: "sub", UserPrefix: "oidc:",
				},
			},
		}, {
			Name: "b", Kind: routes.KindPipeline, Path: "train", Target: "train",
			Labels: map[string]string{"team": "flora", "app.kubernetes.io/version": "3f2a91c"},
			Spec: routes.Spec{
				Inputs: []routes.Variable{{Name: "x", Required: true, Datatypes: []string{"FILE"},
					ContentTypes: []string{"text/csv"}}},
				Outputs: []routes.Variable{{Name: "y", Description: "what is <found>"}},
			},
		}},
		Boxes: []string{"data", "users"}, Datasets: []string{"data"}, Pipelines: []string{"train"},
	}
	got, err := parse(want.Encode())
	if err != nil {
		t.Fatalf("%v\n%s", err, want.Encode())
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A file without anything is a file.
func TestAnEmptyFile(t *testing.T) {
	t.Parallel()
	b := routes.File{}.Encode()
	if want := "{\n  \"apis\": []\n}\n"; string(b) != want {
		t.Errorf("%q, want %q", b, want)
	}
	if _, err := parse(b); err != nil {
		t.Error(err)
	}
}

// A call gets the time of a cold start beside its own, and never more than Knative's longest.
func TestLongest(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[int]float64{0: 180, 30: 210, 500: 600, 600: 600} {
		if got := (routes.API{TimeoutSeconds: seconds}).Longest().Seconds(); got != want {
			t.Errorf("timeout %d s: %v s, want %v", seconds, got, want)
		}
	}
}

func TestWrongFilesAreRefused(t *testing.T) {
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
		"no issuer": {api(`30`, `30,"auth":{"oidc":{"clientId":"c","userClaim":"sub","userPrefix":"oidc:"}}`),
			`issuer "" is not a URL`},
		"an issuer in a file": {api(`30`,
			`30,"auth":{"oidc":{"issuer":"file:///etc/x","clientId":"c","userClaim":"sub","userPrefix":"oidc:"}}`),
			`is not a URL`},
		"no client": {api(`30`,
			`30,"auth":{"oidc":{"issuer":"https://a.example","userClaim":"sub","userPrefix":"oidc:"}}`),
			"the tokens of every client"},
		"no claim": {api(`30`,
			`30,"auth":{"oidc":{"issuer":"https://a.example","clientId":"c","userPrefix":"oidc:"}}`),
			"not the name of a claim"},
		"a claim with a quote": {api(`30`,
			`30,"auth":{"oidc":{"issuer":"https://a.example","clientId":"c","userClaim":"a\"b","userPrefix":"oidc:"}}`),
			"not the name of a claim"},
		"a prefix like a name": {api(`30`,
			`30,"auth":{"oidc":{"issuer":"https://a.example","clientId":"c","userClaim":"sub","userPrefix":"oidc-"}}`),
			"no colon"},
		"no prefix": {api(`30`,
			`30,"auth":{"oidc":{"issuer":"https://a.example","clientId":"c","userClaim":"sub"}}`), "no colon"},
		"no prefix, for all are the same": {api(`30`,
			`30,"auth":{"oidc":{"issuer":"https://a.example","clientId":"c","userClaim":"sub","sameAsBasic":true}}`),
			"no colon"},
		"a list of nobody":         {api(`30`, named(`"users":[]`)), "name somebody"},
		"a list of no group":       {api(`30`, named(`"groups":[],"groupsClaim":"g"`)), "name somebody"},
		"a user that is everybody": {api(`30`, named(`"users":["anonymous"]`)), "nobody can have"},
		"a user without a name":    {api(`30`, named(`"users":[""]`)), "nobody can have"},
		"a group without a name":   {api(`30`, named(`"groups":["a",""],"groupsClaim":"g"`)), "has no name"},
		"groups of no claim":       {api(`30`, named(`"groups":["a"]`)), "not the name of a claim"},
		"an origin with a path":    {api(`30`, `30,"trustedOrigins":["https://a.example/"]`), "not an origin"},
		"an origin of all":         {api(`30`, `30,"trustedOrigins":["*"]`), "not an origin"},
		"no origin":                {api(`30`, `30,"trustedOrigins":["null"]`), "not an origin"},
		"an origin in capitals":    {api(`30`, `30,"trustedOrigins":["https://A.example"]`), "not an origin"},
		"a label of the cluster": {api(`30`, `30,"labels":{"team":"flora","batch.kubernetes.io/job-name":"x"}`),
			"labels: batch.kubernetes.io/job-name: "},
		"a label of unip's": {api(`30`, `30,"labels":{"knative.unified-platform.cs.hse.ru/pipeline":"x"}`),
			"are not a module's"},
		"a label that unip sets": {api(`30`, `30,"labels":{"app.kubernetes.io/managed-by":"x"}`),
			"unip sets it itself"},
		"a label of two lines": {api(`30`, `30,"labels":{"team":"a\nb"}`), "labels: team: "},
		"a double path": {
			`{"apis":[{"name":"a","kind":"mlComponent","path":"p","target":"t","timeoutSeconds":30},{"name":"b","kind":"mlComponent","path":"p","target":"t","timeoutSeconds":30}]}`, "same path"},
	} {
		if _, err := parse([]byte(tc.in)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", name, err, tc.want)
		}
	}
	if _, err := parse(make([]byte, routes.MaxFile+1)); err == nil {
		t.Error("a file over the limit is no error")
	}
}

// A file that is taken opens no API by mistake: every API has a name, a path that a URL spells in
// one way and no other API has, and a way to log in if it has auth at all.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		every, every + "{}", `{}`, `null`, `[]`, "", "\xff", `{"apis":null}`,
		`{"apis":[{"name":"a","kind":"files","path":"files","auth":{}}]}`,
		`{"apis":[{"name":"a","kind":"files","path":"files","auth":null}]}`,
		`{"apis":[{"name":"a","kind":"files","path":"files","Auth":{"basic":{"credentials":"../x"}}}]}`,
		`{"apis":[{"name":"a","kind":"mlComponent","path":"a/../b","target":"x","timeoutSeconds":1}]}`,
		`{"apis":[{"name":"a","kind":"mlComponent","path":"a","target":"x.evil","timeoutSeconds":1}]}`, `{"x":1}`,
		`{"apis":[{"name":"a","kind":"files","path":"files","auth":{"oidc":{"issuer":"https://i","clientId":"c","userClaim":"sub","userPrefix":"p:"}}}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := parse(b)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, a := range file.APIs {
			if a.Name == "" || seen[a.Path] || path.Clean("/"+a.Path) != "/"+a.Path ||
				strings.ContainsAny(a.Path, "%;\\ ?#") {
				t.Errorf("API %+v", a)
			}
			seen[a.Path] = true
			if a.Auth != nil && a.Auth.Basic == nil && a.Auth.OIDC == nil {
				t.Errorf("API %s has auth without a way to log in", a.Name)
			}
			if a.Auth != nil && a.Auth.Basic != nil &&
				(strings.Contains(a.Auth.Basic.Credentials, "/") || strings.HasPrefix(a.Auth.Basic.Credentials, ".")) {
				t.Errorf("API %s: credentials %q", a.Name, a.Auth.Basic.Credentials)
			}
			if a.Kind == routes.KindMLComponent &&
				(a.Timeout() <= 0 || a.Timeout() > routes.MaxTimeout || strings.ContainsAny(a.Target, "./:@")) {
				t.Errorf("API %+v", a)
			}
		}
	})
}
