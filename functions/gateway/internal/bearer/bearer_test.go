package bearer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/internal/bearer"
	"github.com/unip-knative/unip/functions/internal/caller"
)

// start starts a provider; sign makes a token of its claims.
func start() (srv *httptest.Server, sign func(claims string) string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	p := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "ES256"}},
		Algorithms: []string{"ES256"}}
	srv = httptest.NewTLSServer(p)
	p.SetIssuer(srv.URL)
	return srv, func(claims string) string { return oidctest.SignIDToken(key, "k", "ES256", claims) }
}

func rules(srv *httptest.Server) routes.OIDC {
	return routes.OIDC{Issuer: srv.URL, ClientID: "end-users", UserClaim: "preferred_username", UserPrefix: "oidc:"}
}

func Example() {
	srv, sign := start()
	defer srv.Close()
	c := bearer.New(srv.Client().Transport) // in the gateway: bearer.Transport()
	now := time.Now()
	token := sign(fmt.Sprintf(`{"iss":%q,"aud":"account","azp":"end-users","exp":%d,"preferred_username":"ann"}`,
		srv.URL, now.Add(time.Minute).Unix()))
	fmt.Println(c.Check(context.Background(), rules(srv), token, now))
	fmt.Println(c.Check(context.Background(), rules(srv), token, now.Add(time.Hour)))
	// Output:
	// oidc:ann <nil>
	//  the token is refused: the token has expired
}

// An issuer that takes a call and never answers costs it the timeout of one request, and then it is
// told that the issuer is away.
func TestAnIssuerThatHangs(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer srv.Close()
	defer close(hang)
	begin := time.Now()
	_, err := bearer.New(srv.Client().Transport).Check(t.Context(), rules(srv), "eyJ.eyJ.eyJ", begin)
	if took := time.Since(begin); !errors.Is(err, bearer.ErrUnavailable) || took > 20*time.Second {
		t.Errorf("%v after %s", err, took)
	}
}

// Without a prefix a token could name who has the files of open APIs.
func TestNobodyIsAnonymous(t *testing.T) {
	t.Parallel()
	srv, sign := start()
	t.Cleanup(srv.Close)
	now, r := time.Now(), rules(srv)
	token := sign(fmt.Sprintf(`{"iss":%q,"aud":"end-users","exp":%d,"preferred_username":%q}`, srv.URL,
		now.Add(time.Hour).Unix(), caller.Anonymous))
	if user, err := bearer.New(srv.Client().Transport).Check(t.Context(), r, token, now); err != nil ||
		user != "oidc:anonymous" {
		t.Errorf("%q, %v", user, err)
	}
	r.UserPrefix = ""
	var refused *bearer.RefusedError
	if user, err := bearer.New(srv.Client().Transport).Check(t.Context(), r, token, now); !errors.As(err, &refused) {
		t.Errorf("%q, %v", user, err)
	}
}

// Whatever an issuer signs, an identity is a prefix and a name that can be shown; and nothing else
// is taken for one.
func FuzzClaims(f *testing.F) {
	srv, sign := start()
	f.Cleanup(srv.Close)
	c, now := bearer.New(srv.Client().Transport), time.Now()
	good := fmt.Sprintf(`{"iss":%q,"aud":"end-users","exp":%d,"preferred_username":"ann"}`, srv.URL,
		now.Add(time.Hour).Unix())
	for _, old := range []string{"", `"ann"`, `"end-users"`} {
		for _, new := range []string{`null`, `[]`, `{}`, `"\ud800"`, `"\u0085"`, "\"\xff\"", `1e999`, `"Аня"`} {
			f.Add(strings.Replace(good, old, new, 1))
		}
	}
	f.Add(`{"_claim_names":{"preferred_username":"x"},"_claim_sources":{"x":{"endpoint":"https://127.0.0.1:1"}}}`)
	f.Fuzz(func(t *testing.T, claims string) {
		token := sign(claims)
		user, err := c.Check(t.Context(), rules(srv), token, now)
		var refused *bearer.RefusedError
		switch {
		case err != nil && (!errors.As(err, &refused) || user != "" || strings.Contains(err.Error(), token)):
			t.Errorf("user %q, %v", user, err)
		case err == nil && (!strings.HasPrefix(user, "oidc:") || len(user) == len("oidc:") ||
			len(user) > caller.MaxUser ||
			!utf8.ValidString(user) || strings.ContainsFunc(user, unicode.IsControl)):
			t.Errorf("user %q", user)
		}
	})
}
