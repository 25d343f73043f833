package service

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/unip-knative/unip/functions/gateway/internal/bearer"
	"github.com/unip-knative/unip/functions/internal/caller"
)

// provider is an OpenID Connect provider on a TLS server of its own.
type provider struct {
	*httptest.Server
	asked, askedKeys atomic.Int32

	mu   sync.Mutex
	oidc oidctest.Server
	// instead answers in the provider's place when it is not nil and returns true.
	instead func(http.ResponseWriter, *http.Request) bool
}

// Keys are made once: RSA's take their time.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func public(id, algorithm string, key crypto.Signer) oidctest.PublicKey {
	return oidctest.PublicKey{PublicKey: key.Public(), KeyID: id, Algorithm: algorithm}
}

// newProvider is a provider that has the RSA key "one" and the elliptic key "two"; it listens at
// address, or anywhere.
func newProvider(t *testing.T, address string) *provider {
	t.Helper()
	p := &provider{oidc: oidctest.Server{
		PublicKeys: []oidctest.PublicKey{public("one", "RS256", rsaKey()),
			public("two", "ES256", ecKey())}, Algorithms: []string{"HS256", "none", "RS256", "ES256"},
	}}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	if address != "" {
		_ = p.Listener.Close()
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		p.Listener = l
	}
	p.StartTLS()
	t.Cleanup(p.Close)
	p.oidc.SetIssuer(p.URL)
	return p
}

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	p.asked.Add(1)
	if r.URL.Path == "/keys" {
		p.askedKeys.Add(1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.instead == nil || !p.instead(w, r) {
		p.oidc.ServeHTTP(w, r)
	}
}

func (p *provider) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

// claims are those of an access token as Keycloak makes it, with changes; a change to nil takes a
// claim out.
func (p *provider) claims(changes map[string]any) string {
	c := map[string]any{
		"iss": p.URL, "aud": "account", "azp": "end-users", "sub": "5b1f", "typ": "Bearer", "preferred_username": "ann",
		"iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(),
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return string(must(json.Marshal(c)))
}

// token is signed with the provider's RSA key.
func (p *provider) token(changes map[string]any) string {
	return oidctest.SignIDToken(rsaKey(), "one", "RS256", p.claims(changes))
}

// answer is what a call of a module with tokens brought.
type answer struct {
	*http.Response
	body string
	user string // that the component was told, "" when it was not called
}

// tokens is a module with an API for tokens (token), one for passwords (basic) and one for both
// (both), all of the provider.
type tokens struct {
	module
	*provider
	told chan string
}

func startTokens(t *testing.T, p *provider) tokens {
	t.Helper()
	rules := fmt.Sprintf(
		`"oidc":{"issuer":%q,"clientId":"end-users","userClaim":"preferred_username","userPrefix":"oidc:"}`, p.URL)
	api := func(name, auth string) string {
		return fmt.Sprintf(
			`{"name":%q,"kind":"mlComponent","path":%[1]q,"target":%[1]q,"timeoutSeconds":30,"auth":{%s},"identityPassThrough":true}`, name, auth)
	}
	basic := `"basic":{"credentials":"users"}`
	all := tokens{provider: p, told: make(chan string, 1)}
	all.module = startWith(t, `{"apis":[`+strings.Join([]string{
		api("token", rules), api("basic", basic), api("both", basic+","+rules), api("mail",
			strings.Replace(rules, "preferred_username", "email", 1)),
		api("named", basic+","+strings.TrimSuffix(rules, "}")+
			`,"users":["oidc:boris"],"groups":["botanists"],"groupsClaim":"groups"}`),
	}, ",")+`]}`, func(_ http.ResponseWriter, r *http.Request) {
		c, err := caller.Verify(key, r.Header.Get(caller.Header), "POST", "/predict", strings.Split(r.Host, ".")[0],
			time.Now())
		if err != nil {
			t.Errorf("the component was told nothing of the caller: %v", err)
		}
		if r.Header.Get("Authorization") != "" {
			t.Error("the caller's credentials reached the component")
		}
		all.told <- c.User
	})
	all.gateway.tokens = bearer.New(p.Client().Transport)
	return all
}

// post calls predict of an API.
func (m tokens) post(t *testing.T, api string, header ...string) answer {
	t.Helper()
	resp, body := m.call(t, "POST", "/pu-ann/"+api+"/predict", strings.NewReader("{}"), header...)
	a := answer{Response: resp, body: body}
	if resp.StatusCode == http.StatusOK {
		a.user = <-m.told
	}
	return a
}

func (m tokens) with(t *testing.T, token string) answer {
	t.Helper()
	return m.post(t, "token", "Authorization", "Bearer "+token)
}
