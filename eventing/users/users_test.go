package users_test

import (
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/users"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct{ possible, basic bool }{
		"ann": {true, true}, "Аня": {true, true}, "ann lee": {true, true}, "oidc:ann": {true, false},
		"a/b": {true, false}, ".": {true, false}, "..": {true, false}, "": {}, "anonymous": {},
		"a\nb": {}, "\xff": {}, strings.Repeat("a", 512): {true, true}, strings.Repeat("a", 513): {},
	} {
		if got := users.Possible(name); got != want.possible {
			t.Errorf("%.20q: possible %v", name, got)
		}
		if err := users.CheckBasic(name); (err == nil) != want.basic {
			t.Errorf("%.20q as a user of HTTP Basic: %v", name, err)
		}
	}
}

// Who calls an open API has files and runs, and no name.
func TestAnonymousHasNoName(t *testing.T) {
	t.Parallel()
	if got := users.Known("anonymous"); got != "" {
		t.Errorf("%q", got)
	}
	if got := users.Known("ann"); got != "ann" {
		t.Errorf("%q", got)
	}
}
