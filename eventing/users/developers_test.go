package users_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/users"
)

func TestDevelopers(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		"":                                   nil,
		"oidc:ann, basic:leaf-users/boris":   {"oidc:ann", "basic:leaf-users/boris"},
		"oidc:ann,oidc:ann":                  {"oidc:ann"},
		"oidc:pu:ann":                        {"oidc:pu:ann"},
		"ann":                                nil,
		"anonymous, oidc:anonymous":          nil,
		"basic:leaf-users/anonymous":         nil,
		"basic:ann, basic:/ann, basic:a_b/x": nil,
		"basic:leaf-users/, basic:u/a/b":     nil,
		"*, oidc:, :ann":                     nil,
	} {
		if d := cmp.Diff(want, users.Developers(list)); d != "" {
			t.Errorf("%q (-want +got):\n%s", list, d)
		}
	}
}

// Whoever proves to be a user by a token is never taken for a user of a Secret, and with a name that
// both may have, for no other user of tokens.
func TestTokenIdentity(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"oidc:", "oidc:ann", "oidc:ann"},
		{"oidc:", "ann", "oidc:ann"},
		{"basic:", "basic:leaf-users/ann", ""},
		{"basic:", "leaf-users/ann", ""},
		{"oidc:", "anonymous", ""},
		{"oidc:", "", ""},
	} {
		if got := users.TokenIdentity(c[0], c[1]); got != c[2] {
			t.Errorf("%q: %q, want %q", c[:2], got, c[2])
		}
	}
	got := users.BasicIdentity("leaf-users", "ann")
	if got != "basic:leaf-users/ann" || users.CheckDeveloper(got) != nil {
		t.Error(got)
	}
}
