package bearer_test

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/unip-knative/unip/e2e/attack/inputs"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/internal/bearer"
)

// The tokens that strangers try on the cluster are nobody's.
func TestTokensOfStrangers(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "one", Algorithm: "RS256"}}}
	srv := httptest.NewTLSServer(p)
	t.Cleanup(srv.Close)
	p.SetIssuer(srv.URL)
	i := inputs.Issuer{URL: srv.URL, Client: "end-users", KeyID: "one", Key: key}
	r := routes.OIDC{Issuer: srv.URL, ClientID: "end-users", UserClaim: "preferred_username", UserPrefix: "oidc:"}
	check := func(token string) (string, error) { // by a checker that has asked the issuer nothing yet
		return bearer.New(srv.Client().Transport).Check(t.Context(), r, token, time.Now())
	}
	for _, name := range inputs.Impostors {
		if user, err := check(i.Token(map[string]any{"preferred_username": name})); err != nil || user != "oidc:"+name {
			t.Errorf("a good token of %q: %q, %v", name, user, err)
		}
	}
	for _, token := range append(i.Forged(), i.Stale()...) {
		user, err := check(token.Text)
		if refused := (*bearer.RefusedError)(nil); !errors.As(err, &refused) {
			t.Errorf("%s: user %q, %v", token.Name, user, err)
		}
	}
}
