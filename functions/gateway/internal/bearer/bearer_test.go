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
	"github.com/unip-knative/unip/eventing/users"
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
		now.Add(time.Hour).Unix(), users.Anonymous))
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

// Where the installation says so, a token's user is the user of HTTP Basic of that name: for names
// that such a user can have, and for nobody else.
func TestUsersOfBothWays(t *testing.T) {
	t.Parallel()
	srv, sign := start()
	t.Cleanup(srv.Close)
	now, c := time.Now(), bearer.New(srv.Client().Transport)
	check := func(r routes.OIDC, claims string) (string, error) {
		return c.Check(t.Context(), r, sign(fmt.Sprintf(`{"iss":%q,"aud":"end-users","exp":%d,%s}`, srv.URL,
			now.Add(time.Hour).Unix(), claims)), now)
	}
	same := rules(srv)
	same.SameAsBasic = true
	for name, want := range map[string]string{
		"ann": "ann", "Аня": "Аня", "a@b.example": "a@b.example", "anonymous": "oidc:anonymous",
		"oidc:ann": "oidc:oidc:ann",
		"a:b":      "oidc:a:b", "a/b": "oidc:a/b", "..": "oidc:..", ":": "oidc::",
	} {
		if user, err := check(same, fmt.Sprintf(`"preferred_username":%q`, name)); err != nil || user != want {
			t.Errorf("%s: %q, %v", name, user, err)
		}
		if user, err := check(rules(srv), fmt.Sprintf(`"preferred_username":%q`, name)); err != nil ||
			user != "oidc:"+name {
			t.Errorf("%s, apart: %q, %v", name, user, err)
		}
	}
	// An address that nobody has verified is anybody's.
	same.UserClaim = "email"
	var refused *bearer.RefusedError
	for claims, good := range map[string]bool{
		`"email":"ann"`: false, `"email":"ann","email_verified":false`: false,
		`"email":"ann","email_verified":null`: false,
		`"email":"ann","email_verified":true`: true,
	} {
		user, err := check(same, claims)
		if good != (err == nil && user == "ann") || !good && !errors.As(err, &refused) {
			t.Errorf("%s: %q, %v", claims, user, err)
		}
	}
}

// Who may call is said by identities and by groups; a claim that is no list of texts is no group.
func TestWhoIsNamed(t *testing.T) {
	t.Parallel()
	srv, sign := start()
	t.Cleanup(srv.Close)
	now, c := time.Now(), bearer.New(srv.Client().Transport)
	byUser, byName, byGroup, byBoth := rules(srv), rules(srv), rules(srv), rules(srv)
	byName.Users = []string{"ann"}
	byUser.Users = []string{"oidc:boris", "oidc:ann"}
	byGroup.Groups, byGroup.GroupsClaim = []string{"/botanists", "admins"}, "groups"
	byBoth.Users, byBoth.Groups, byBoth.GroupsClaim = []string{"oidc:boris"}, []string{"a"}, "https://x.example/roles"
	byRole := rules(srv)
	byRole.Groups, byRole.GroupsClaim = []string{"botanist"}, "realm_access.roles"
	for name, tc := range map[string]struct {
		rules  routes.OIDC
		claims string
		named  bool
	}{
		"by a role in an object":         {byRole, `"realm_access":{"roles":["botanist"]}`, true},
		"by a claim with a dot":          {byRole, `"realm_access.roles":["botanist"]`, true},
		"by the claim of that very name": {byRole, `"realm_access.roles":[],"realm_access":{"roles":["botanist"]}`, false},
		"by an object that is a text":    {byRole, `"realm_access":"roles"`, false},
		"by the object above":            {byRole, `"realm_access":["botanist"]`, false},
		"nobody is named":                {rules(srv), `"groups":["x"]`, true},
		"by the identity":                {byUser, `"groups":["x"]`, true},
		"by a group":                     {byGroup, `"groups":["x","/botanists"]`, true},
		"by the group, not the user":     {byBoth, `"https://x.example/roles":["a"]`, true},
		"by no group":                    {byGroup, `"groups":["x"]`, false},
		"by an empty list":               {byGroup, `"groups":[]`, false},
		"without the claim":              {byGroup, `"roles":["admins"]`, false},
		"by a text that is the group":    {byGroup, `"groups":"admins"`, false},
		"by a list in which is a number": {byGroup, `"groups":["admins",1]`, false},
		"by a list in a list":            {byGroup, `"groups":[["admins"]]`, false},
		"by an object":                   {byGroup, `"groups":{"admins":true}`, false},
		"by nothing":                     {byGroup, `"groups":null`, false},
		"by a list of nothing":           {byGroup, `"groups":[null,""]`, false},
		"by letters of another size":     {byGroup, `"groups":["Admins"]`, false},
		"by another claim":               {byBoth, `"groups":["a"]`, false},
		"by the bare name":               {byName, `"x":1`, false},
	} {
		user, err := c.Check(t.Context(), tc.rules, sign(fmt.Sprintf(
			`{"iss":%q,"aud":"end-users","exp":%d,"preferred_username":"ann",%s}`, srv.URL, now.Add(time.Hour).Unix(),
			tc.claims)), now)
		if user != "oidc:ann" || tc.named != (err == nil) || !tc.named && !errors.Is(err, bearer.ErrNotNamed) {
			t.Errorf("%s: %q, %v", name, user, err)
		}
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
