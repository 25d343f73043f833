package runs

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
		(&Handler{}).OpenAPI(w, routes.API{Target: "fit", Auth: tc.auth}, "/ns/fit")
		document, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		post := document.Paths.Find("/ns/fit/run").Post
		var schemes []string
		for _, s := range *post.Security {
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
