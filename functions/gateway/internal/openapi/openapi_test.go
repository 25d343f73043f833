package openapi

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/unip-knative/unip/eventing/routes"
)

// The document says how callers log in, and who is refused though known.
func TestOpenAPISaysWhoMayCall(t *testing.T) {
	t.Parallel()
	oidc := &routes.OIDC{Issuer: "https://a.example", ClientID: "c", UserClaim: "sub", UserPrefix: "oidc:"}
	named := *oidc
	named.Groups, named.GroupsClaim = []string{"secret-group"}, "groups"
	for name, tc := range map[string]struct {
		auth    *routes.Auth
		schemes []string
		named   bool
	}{
		"open":          {nil, nil, false},
		"by a password": {&routes.Auth{Basic: &routes.Basic{Credentials: "users"}}, []string{"basic"}, false},
		"by both": {&routes.Auth{Basic: &routes.Basic{Credentials: "users"}, OIDC: oidc}, []string{"basic", "bearer"},
			false},
		"by groups": {&routes.Auth{OIDC: &named}, []string{"bearer"}, true},
	} {
		w := httptest.NewRecorder()
		Write(w, routes.API{Kind: routes.KindPipeline, Target: "fit", Auth: tc.auth}, "/ns/fit")
		document, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		post := document.Paths.Find("/run").Post
		var schemes []string
		for _, s := range document.Security {
			for scheme := range s {
				schemes = append(schemes, scheme)
				if document.Components.SecuritySchemes[scheme] == nil {
					t.Errorf("%s: %s is not described", name, scheme)
				}
			}
		}
		if slices.Sort(schemes); !slices.Equal(schemes, tc.schemes) {
			t.Errorf("%s: %v", name, schemes)
		}
		if said := strings.Contains(*post.Responses.Value("403").Value.Description, "not-allowed"); said != tc.named {
			t.Errorf("%s: who is not named: %v", name, said)
		}
		if strings.Contains(w.Body.String(), "secret-group") {
			t.Errorf("%s tells who is named", name)
		}
	}
}

// What the manifest requires, of inputs and of outputs, the document requires.
func TestRequiredVariables(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	Write(w, routes.API{Kind: routes.KindPipeline, Target: "fit", Spec: routes.Spec{
		Inputs:  []routes.Variable{{Name: "photos", Required: true}, {Name: "table"}},
		Outputs: []routes.Variable{{Name: "model", Required: true}, {Name: "report"}},
	}}, "/ns/fit")
	for _, part := range []string{`"required":["inputs","outputs"]`, `"required":["model"]`, `"required":["photos"]`,
		`"pattern":"^[^/]+/(.*/)?$"`, `<box>/<group>/<file>`} {
		if !strings.Contains(w.Body.String(), part) {
			t.Errorf("no %s in %s", part, w.Body)
		}
	}
}

// A component's own document gets where it is published and how callers log in; all else stays.
func TestComponent(t *testing.T) {
	t.Parallel()
	api := routes.API{Kind: routes.KindMLComponent, Auth: &routes.Auth{Basic: &routes.Basic{Credentials: "users"}}}
	got, err := Component([]byte(`{"openapi":"3.1.0","paths":{"/predict":{}},"components":{"schemas":{"A":{"maximum":1e3,`+
		`"title":"<a> & b"}}},"x-more":[1]}`), api, "/pu-ann/leaf")
	const want = `{"components":{"schemas":{"A":{"maximum":1000,"title":"<a> & b"}},` +
		`"securitySchemes":{"basic":{"scheme":"basic","type":"http"}}},"openapi":"3.1.0","paths":{"/predict":{}},` +
		`"security":[{"basic":[]}],"servers":[{"url":"/pu-ann/leaf"}],"x-more":[1]}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	got, err = Component([]byte(`{"openapi":"3.1.0"}`), routes.API{}, "/leaf")
	if want := `{"components":{"securitySchemes":{}},"openapi":"3.1.0","security":[],"servers":[{"url":"/leaf"}]}`; err != nil ||
		string(got) != want {
		t.Errorf("open: %s, %v; want %s", got, err, want)
	}
	for _, wrong := range []string{"", "[]", "{}", `{"swagger":"2.0"}`, `{"openapi":"3.1.0"`} {
		if got, err := Component([]byte(wrong), api, "/leaf"); err == nil {
			t.Errorf("%s: %s", wrong, got)
		}
	}
}
