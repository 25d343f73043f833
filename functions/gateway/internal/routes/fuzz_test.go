package routes

import (
	"path"
	"slices"
	"strings"
	"testing"
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

// A path that leads somewhere leads there in one reading: it is its API's own path and an operation
// of it, nothing in it is encoded, and only the file API, which decodes for itself, gets what is.
func FuzzPaths(f *testing.F) {
	table, err := Parse([]byte(every), "pu-ann", "")
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		"/leaf/predict", "/pu-ann/leaf/v2/models/leaf/infer", "/leaf/v2/deep/predict", "/pu-ann/pu-ann/x/predict", "/train/run", "/train", "/pipelines/runs/r/logs", "/pipelines/runs/../cancel", "/files/data/g/f", "/pu-ann/files/data/..%2f",
		"//leaf/predict", "/leaf/./predict", "/leaf/%2e%2e/predict", "/leaf/predict/", "/leaf/v2/../../train/run", "/leaf;x=1/predict", "/leaf\\predict", "leaf/predict", "*", "", "/", "http://x/leaf/predict", "/files", "/filesx/a", "/LEAF/predict", "/leaf/predict\x00", "/leaf/v2/\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		m, ok := table.Find(p)
		if !ok {
			return
		}
		if len(m.Methods) == 0 || m.Prefix != "/"+m.API.Path && m.Prefix != "/pu-ann/"+m.API.Path {
			t.Errorf("%q: prefix %q of the path %q, methods %v", p, m.Prefix, m.API.Path, m.Methods)
		}
		if m.API.Kind == KindFiles {
			if m.Prefix+"/"+m.Upstream != p {
				t.Errorf("%q: %q %q", p, m.Prefix, m.Upstream)
			}
			return
		}
		if strings.TrimSuffix(m.Prefix+m.Upstream, "/") != p || path.Clean(m.Upstream) != m.Upstream || strings.ContainsAny(m.Upstream, "%;\\") {
			t.Errorf("%q: %q %q", p, m.Prefix, m.Upstream)
		}
		if first, _, _ := strings.Cut(strings.TrimPrefix(m.Upstream, "/"), "/"); m.API.Kind == KindMLComponent && !slices.Contains([]string{"predict", "v2", "openapi", "openapi.json"}, first) {
			t.Errorf("%q reaches %q of a component", p, m.Upstream)
		}
	})
}

// A file that is taken opens no API by mistake: every API has a name, a path that a URL spells in
// one way and no other API has, and a way to log in if it has auth at all.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		every, file, every + "{}", `{}`, `null`, `[]`, "", "\xff", `{"apis":null}`, `{"apis":[{"name":"a","kind":"files","path":"files","auth":{}}]}`, `{"apis":[{"name":"a","kind":"files","path":"files","auth":null}]}`, `{"apis":[{"name":"a","kind":"files","path":"files","Auth":{"basic":{"credentials":"../x"}}}]}`,
		`{"apis":[{"name":"a","kind":"mlComponent","path":"a/../b","target":"x","timeoutSeconds":1}]}`, `{"apis":[{"name":"a","kind":"mlComponent","path":"a","target":"x.evil","timeoutSeconds":1}]}`, `{"x":1}`,
		`{"apis":[{"name":"a","kind":"files","path":"files","auth":{"oidc":{"issuer":"https://i","clientId":"c","userClaim":"sub","userPrefix":"p:"}}}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := Parse(b, "pu-ann", "")
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, a := range table.APIs() {
			if a.Name == "" || seen[a.Path] || path.Clean("/"+a.Path) != "/"+a.Path || strings.ContainsAny(a.Path, "%;\\ ?#") {
				t.Errorf("API %+v", a)
			}
			seen[a.Path] = true
			if a.Auth != nil && a.Auth.Basic == nil && a.Auth.OIDC == nil {
				t.Errorf("API %s has auth without a way to log in", a.Name)
			}
			if a.Auth != nil && a.Auth.Basic != nil && (strings.Contains(a.Auth.Basic.Credentials, "/") || strings.HasPrefix(a.Auth.Basic.Credentials, ".")) {
				t.Errorf("API %s: credentials %q", a.Name, a.Auth.Basic.Credentials)
			}
			if a.Kind == KindMLComponent && (a.Timeout() <= 0 || a.Timeout() > MaxTimeout || strings.ContainsAny(a.Target, "./:@")) {
				t.Errorf("API %+v", a)
			}
		}
	})
}
