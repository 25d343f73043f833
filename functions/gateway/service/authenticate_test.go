package service

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/users"
	"github.com/unip-knative/unip/functions/gateway/internal/bearer"
	"github.com/unip-knative/unip/functions/internal/caller"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// logged is all that the tests made the gateway log.
type logged struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

// A token is a password: whatever the tests did, none of theirs, good or bad, is in the log. All
// begin like a JSON object in base64.
func TestMain(m *testing.M) {
	var l logged
	slog.SetDefault(slog.New(slog.NewJSONHandler(io.MultiWriter(&l, os.Stderr), nil)))
	code := m.Run()
	if i := strings.Index(l.String(), "eyJ"); i >= 0 {
		fmt.Fprintf(os.Stderr, "a token was logged: %.300s\n", l.String()[max(0, i-200):])
		code = 1
	}
	os.Exit(code)
}

func TestGoodTokens(t *testing.T) {
	t.Parallel()
	m := startTokens(t, newProvider(t, ""))
	now := time.Now()
	for name, tc := range map[string]struct{ token, user string }{
		"an access token of Keycloak": {m.token(nil), "oidc:ann"},
		"an ID token": {m.token(map[string]any{"aud": "end-users", "azp": nil, "typ": "ID"}),
			"oidc:ann"},
		"one of several audiences": {m.token(map[string]any{"aud": []string{"account", "end-users"},
			"azp": "other"}), "oidc:ann"},
		"no audience, but the party": {m.token(map[string]any{"aud": nil}), "oidc:ann"},
		"an elliptic key":            {oidctest.SignIDToken(ecKey(), "two", "ES256", m.claims(nil)), "oidc:ann"},
		"a key without an id":        {oidctest.SignIDToken(rsaKey(), "", "RS256", m.claims(nil)), "oidc:ann"},
		"a name in Cyrillic": {m.token(map[string]any{"preferred_username": "Аня Иванова"}),
			"oidc:Аня Иванова"},
		"a name that looks like a path": {m.token(map[string]any{"preferred_username": "../boris"}), "oidc:../boris"},
		"a name with a colon":           {m.token(map[string]any{"preferred_username": "oidc:ann"}), "oidc:oidc:ann"},
		"the longest name": {m.token(map[string]any{"preferred_username": strings.Repeat("u",
			caller.MaxUser-5)}), "oidc:" + strings.Repeat("u", caller.MaxUser-5)},
		"expired, but clocks differ": {m.token(map[string]any{"exp": now.Add(-bearer.Leeway / 2).Unix()}),
			"oidc:ann"},
		"not yet valid, but clocks differ": {m.token(map[string]any{"nbf": now.Add(bearer.Leeway / 2).Unix()}),
			"oidc:ann"},
		"a fraction of a second": {m.token(map[string]any{"exp": float64(now.Unix()) + 60.5}), "oidc:ann"},
		"many roles": {m.token(map[string]any{"realm_access": strings.Repeat("role ", 2200)}),
			"oidc:ann"},
		"claims that nobody reads, of any type": {m.token(map[string]any{"email": 7, "email_verified": false,
			"name": []int{1}}), "oidc:ann"},
	} {
		if a := m.with(t, tc.token); a.StatusCode != 200 || a.user != tc.user {
			t.Errorf("%s (%d bytes): %d %s, user %q, want %q", name, len(tc.token), a.StatusCode, a.body, a.user,
				tc.user)
		}
	}
	for _, scheme := range []string{"bearer ", "BEARER ", "Bearer  "} {
		if a := m.post(t, "token", "Authorization", scheme+m.token(nil)); a.StatusCode != 200 || a.user != "oidc:ann" {
			t.Errorf("%q: %d %s", scheme, a.StatusCode, a.body)
		}
	}
	if n := m.asked.Load(); n != 2 {
		t.Errorf("the provider was asked %d times, want once for discovery and once for keys", n)
	}
}

// A caller who is known and not named is told so, and reaches nothing; who logs in by a password is
// named by its Secret.
func TestWhoIsKnownAndNotNamed(t *testing.T) {
	t.Parallel()
	m := startTokens(t, newProvider(t, ""))
	for name, changes := range map[string]map[string]any{
		"another user": nil, "another group": {"groups": []string{"zoologists"}}, "a text": {"groups": "botanists"},
		"the bare name": {"preferred_username": "oidc:boris"},
	} {
		a := m.post(t, "named", "Authorization", "Bearer "+m.token(changes))
		wantProblem(t, a.Response, a.body, http.StatusForbidden, problem.NotAllowed)
		if strings.Contains(a.body, "boris") || strings.Contains(a.body, "botanists") {
			t.Errorf("%s: the answer tells who is named: %s", name, a.body)
		}
	}
	bearer := func(changes map[string]any) []string { return []string{"Authorization", "Bearer " + m.token(changes)} }
	for user, header := range map[string][]string{
		"oidc:boris": bearer(map[string]any{"preferred_username": "boris"}),
		"oidc:ann":   bearer(map[string]any{"groups": []string{"botanists"}}),
		"ann":        {"user", "ann:secret"},
	} {
		if a := m.post(t, "named", header...); a.user != user {
			t.Errorf("%s: %d %s, user %q", user, a.StatusCode, a.body, a.user)
		}
	}
	// A token that is not good is nobody's, named or not.
	a := m.post(t, "named", bearer(map[string]any{"preferred_username": "boris", "azp": "other"})...)
	wantProblem(t, a.Response, a.body, http.StatusUnauthorized, problem.Unauthorized)
}

// badTokens is a table of tokens that are refused, each with the reason that the caller is told.
func badTokens(p *provider) map[string]struct{ token, reason string } {
	const (
		malformed = "the token is malformed or not signed with a key of the issuer"
		noJWT     = "the token is not a JWT"
		client    = "the token was made for another client"
		noName    = "the token has no claim preferred_username with a text"
		noNames   = "the claim preferred_username has characters that no name can have"
	)
	now := time.Now()
	encode := base64.RawURLEncoding.EncodeToString
	good := strings.Split(p.token(nil), ".")
	unsigned := encode([]byte(`{"alg":"none"}`)) + "." + good[1] + "."
	der := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	embedded := must(must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: otherKey()},
		&jose.SignerOptions{EmbedJWK: true})).Sign([]byte(p.claims(nil))))
	return map[string]struct{ token, reason string }{
		"alg none":                  {unsigned, noJWT},
		"alg none with a signature": {unsigned + "eyJ", malformed},
		"HS256 with the public key": {oidctest.SignIDToken(der, "one", "HS256", p.claims(nil)), malformed},
		"HS256, though the provider lists it": {oidctest.SignIDToken([]byte("eyJ-secret-of-32-bytes-or-more-it-is"),
			"one",
			"HS256", p.claims(nil)), malformed},
		"an algorithm that is not listed": {oidctest.SignIDToken(rsaKey(), "one", "RS384", p.claims(nil)), malformed},
		"another key under a known id":    {oidctest.SignIDToken(otherKey(), "one", "RS256", p.claims(nil)), malformed},
		"another key under an unknown id": {oidctest.SignIDToken(otherKey(), "three", "RS256", p.claims(nil)),
			malformed},
		"another key without an id":   {oidctest.SignIDToken(otherKey(), "", "RS256", p.claims(nil)), malformed},
		"a key that the token brings": {must(embedded.CompactSerialize()), malformed},
		"changed claims": {good[0] + "." +
			encode([]byte(p.claims(map[string]any{"preferred_username": "root"}))) + "." + good[2], malformed},
		"JWS's JSON form": {fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, good[1],
			good[0], good[2]), noJWT},
		"an opaque token":            {"eyJust-a-secret", noJWT},
		"four parts":                 {p.token(nil) + ".eyJ", noJWT},
		"parts with nothing in them": {"..", noJWT},
		"other letters":              {good[0] + "." + good[1] + "." + good[2] + "é", noJWT},
		"parts that are no JSON":     {"eyJ.eyJ.eyJ", malformed},
		"claims that are a list":     {oidctest.SignIDToken(rsaKey(), "one", "RS256", `["ann"]`), malformed},
		"nothing":                    {"", noJWT},
		"over 16 KiB": {p.token(map[string]any{"realm_access": strings.Repeat("role ", 2600)}),
			"the token is longer than 16 KiB"},
		"another issuer": {p.token(map[string]any{"iss": "https://other.example.org"}),
			"the token is of another issuer"},
		"the issuer with a slash": {p.token(map[string]any{"iss": p.URL + "/"}),
			"the token is of another issuer"},
		"no issuer": {p.token(map[string]any{"iss": nil}), "the token is of another issuer"},
		"expired": {p.token(map[string]any{"exp": now.Add(-2 * bearer.Leeway).Unix()}),
			"the token has expired"},
		"expired when time began": {p.token(map[string]any{"exp": 0}), "the token has expired"},
		"no expiry": {p.token(map[string]any{"exp": nil}),
			"the token does not say when it expires"},
		"an expiry that is a text": {p.token(map[string]any{"exp": "tomorrow"}), malformed},
		"an expiry beyond numbers": {p.token(map[string]any{"exp": 1e300}),
			"a claim of the token is of another type than it should be"},
		"not yet valid": {p.token(map[string]any{"nbf": now.Add(3 * bearer.Leeway).Unix()}),
			"the token is not valid yet"},
		"made in the future": {p.token(map[string]any{"iat": now.Add(3 * bearer.Leeway).Unix()}),
			"the token is not valid yet"},
		"another client": {p.token(map[string]any{"azp": "other"}), client},
		"no client":      {p.token(map[string]any{"aud": nil, "azp": nil}), client},
		"a client that begins like it": {p.token(map[string]any{"aud": []string{"end-users2"},
			"azp": "end-users2"}), client},
		"a client of another type": {p.token(map[string]any{"azp": []string{"end-users"}}), client},
		"an audience of another type": {p.token(map[string]any{"aud": map[string]any{"end-users": true}}),
			malformed},
		"no name":                 {p.token(map[string]any{"preferred_username": nil}), noName},
		"an empty name":           {p.token(map[string]any{"preferred_username": ""}), noName},
		"a name that is a number": {p.token(map[string]any{"preferred_username": 7}), noName},
		"a name that is a list":   {p.token(map[string]any{"preferred_username": []string{"ann"}}), noName},
		"a name that is null": {oidctest.SignIDToken(rsaKey(), "one", "RS256",
			strings.Replace(p.claims(nil), `"ann"`, `null`, 1)), noName},
		"a name in the claim's other spelling": {p.token(map[string]any{"preferred_username": nil,
			"Preferred_Username": "ann"}), noName},
		"a name over the limit": {p.token(map[string]any{"preferred_username": strings.Repeat("u",
			caller.MaxUser-4)}), "the claim preferred_username is too long"},
		"a name of two lines": {p.token(map[string]any{"preferred_username": "ann\nboris"}), noNames},
		"a name with a NUL":   {p.token(map[string]any{"preferred_username": "ann\x00"}), noNames},
		"a name that is not UTF-8": {oidctest.SignIDToken(rsaKey(), "one", "RS256",
			strings.Replace(p.claims(nil), `"ann"`, "\"ann\xff\"", 1)), noNames},
		"half a character": {oidctest.SignIDToken(rsaKey(), "one", "RS256",
			strings.Replace(p.claims(nil), `"ann"`, `"ann\ud800"`, 1)), noNames},
	}
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "")
	for name, tc := range badTokens(p) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// each with a gateway of its own, for one that sees many false keys asks no more for a
			// while
			m := startTokens(t, p)
			a := m.with(t, tc.token)
			wantProblem(t, a.Response, a.body, 401, problem.Unauthorized)
			want := []string{fmt.Sprintf(`Bearer realm="pu-ann", error="invalid_token", error_description=%q`,
				tc.reason)}
			if d := cmp.Diff(want, a.Header.Values("WWW-Authenticate")); d != "" {
				t.Errorf("WWW-Authenticate (-want +got):\n%s", d)
			}
			if !strings.Contains(a.body, tc.reason) || strings.Contains(a.body, "eyJ") {
				t.Errorf("answer %s", a.body)
			}
			if a = m.with(t, m.token(nil)); a.StatusCode != 200 {
				t.Errorf("a good token after it: %d %s", a.StatusCode, a.body)
			}
		})
	}
}

func TestChallenges(t *testing.T) {
	t.Parallel()
	m := startTokens(t, newProvider(t, ""))
	const (
		basic   = `Basic realm="pu-ann", charset="UTF-8"`
		token   = `Bearer realm="pu-ann"`
		invalid = token + `, error="invalid_token", error_description="the token is not a JWT"`
	)
	for name, tc := range map[string]struct {
		api    string
		header []string
		want   []string
	}{
		"tokens: nobody":            {"token", nil, []string{token}},
		"tokens: a password":        {"token", []string{"user", "ann:secret"}, []string{token}},
		"tokens: a bad token":       {"token", []string{"Authorization", "Bearer x"}, []string{invalid}},
		"tokens: the scheme alone":  {"token", []string{"Authorization", "Bearer"}, []string{invalid}},
		"tokens: no scheme":         {"token", []string{"Authorization", "eyJ.eyJ.eyJ"}, []string{token}},
		"passwords: a good token":   {"basic", []string{"Authorization", "Bearer " + m.token(nil)}, []string{basic}},
		"both: nobody":              {"both", nil, []string{basic, token}},
		"both: a wrong password":    {"both", []string{"user", "ann:wrong"}, []string{basic, token}},
		"both: a bad token":         {"both", []string{"Authorization", "Bearer x"}, []string{basic, invalid}},
		"both: a token as password": {"both", []string{"user", "oidc:" + m.token(nil)}, []string{basic, token}},
	} {
		a := m.post(t, tc.api, tc.header...)
		wantProblem(t, a.Response, a.body, 401, problem.Unauthorized)
		if d := cmp.Diff(tc.want, a.Header.Values("WWW-Authenticate")); d != "" {
			t.Errorf("%s: WWW-Authenticate (-want +got):\n%s", name, d)
		}
	}
	if a := m.post(t, "both", "user", "ann:secret"); a.user != "ann" {
		t.Errorf("both: a password: %d %s, user %q", a.StatusCode, a.body, a.user)
	}
	if a := m.post(t, "both", "Authorization", "Bearer "+m.token(nil)); a.user != "oidc:ann" {
		t.Errorf("both: a token: %d %s, user %q", a.StatusCode, a.body, a.user)
	}
}

// In HTTP Basic a user's name ends at the first colon, so that no Secret, however it is written,
// gives a password for an identity of a token.
func TestNobodyIsATokensUserByPassword(t *testing.T) {
	t.Parallel()
	m := startTokens(t, newProvider(t, ""))
	// of "secret"
	for file, content := range map[string]string{"oidc:ann": "secret",
		"auth": "oidc:ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"} {
		if err := os.WriteFile(m.dir+"/auth/users/"+file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, login := range []string{"oidc:ann:secret", "oidc%3Aann:secret", "oidc:secret", ":oidc:ann:secret"} {
		if a := m.post(t, "both", "user", login); a.StatusCode != 401 {
			t.Errorf("%s: %d, user %q", login, a.StatusCode, a.user)
		}
	}
}

func TestAnUnverifiedMailAddressIsNobody(t *testing.T) {
	t.Parallel()
	m := startTokens(t, newProvider(t, ""))
	for verified, want := range map[any]int{true: 200, "true": 200, nil: 200, false: 401, "false": 401, 1: 401} {
		a := m.post(t, "mail", "Authorization",
			"Bearer "+m.token(map[string]any{"email": "ann@example.org", "email_verified": verified}))
		if a.StatusCode != want || (want == 200) != (a.user == "oidc:ann@example.org") {
			t.Errorf("email_verified %v: %d %s, user %q", verified, a.StatusCode, a.body, a.user)
		}
	}
}

func wantUnavailable(t *testing.T, a answer) {
	t.Helper()
	wantProblem(t, a.Response, a.body, 503, "issuer-unavailable")
	if a.Header.Get("Retry-After") != "5" || a.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("header %v", a.Header)
	}
}

func TestAnIssuerThatIsDown(t *testing.T) {
	t.Parallel()
	first := newProvider(t, "")
	token, address := first.token(nil), first.Listener.Addr().String()
	first.Close()
	m := startTokens(t, first) // the gateway starts, and says that it is ready
	if resp, _ := m.call(t, "GET", "/readyz", nil); resp.StatusCode != 200 {
		t.Errorf("readyz: %d", resp.StatusCode)
	}
	wantUnavailable(t, m.with(t, token))
	if a := m.post(t, "both", "user", "ann:secret"); a.StatusCode != 200 || a.user != "ann" {
		t.Errorf("a password meanwhile: %d %s", a.StatusCode, a.body)
	}
	newProvider(t, address)
	if a := m.with(t, token); a.StatusCode != 200 || a.user != "oidc:ann" {
		t.Errorf("when it is up: %d %s", a.StatusCode, a.body)
	}
}

func TestAnIssuerWithoutItsKeys(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "")
	m := startTokens(t, p)
	broken := func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/keys" {
			return false
		}
		http.Error(w, "the database is down", http.StatusInternalServerError)
		return true
	}
	p.change(func() { p.instead = broken })
	wantUnavailable(t, m.with(t, m.token(nil)))
	p.change(func() { p.instead = nil })
	if a := m.with(t, m.token(nil)); a.StatusCode != 200 {
		t.Errorf("when they are back: %d %s", a.StatusCode, a.body)
	}
	p.change(func() { p.instead = broken })
	if a := m.with(t, m.token(nil)); a.StatusCode != 200 {
		t.Errorf("a key that is known, while they are away: %d %s", a.StatusCode, a.body)
	}
	wantUnavailable(t, m.with(t, oidctest.SignIDToken(otherKey(), "three", "RS256", m.claims(nil)))) // who knows
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "")
	m := startTokens(t, p)
	before := m.token(nil)
	after := oidctest.SignIDToken(otherKey(), "three", "RS256", m.claims(nil))
	if a, b := m.with(t, before), m.with(t, after); a.StatusCode != 200 || b.StatusCode != 401 {
		t.Fatalf("before: %d, %d", a.StatusCode, b.StatusCode)
	}
	p.change(func() { p.oidc.PublicKeys = append(p.oidc.PublicKeys, public("three", "RS256", otherKey())) })
	if a, b := m.with(t, before), m.with(t, after); a.StatusCode != 200 || b.StatusCode != 200 {
		t.Errorf("while both keys are there: %d, %d", a.StatusCode, b.StatusCode)
	}
	p.change(func() { p.oidc.PublicKeys = p.oidc.PublicKeys[2:] })
	m.with(t, oidctest.SignIDToken(ecKey(), "four", "ES256", m.claims(nil))) // makes the gateway look
	if a, b := m.with(t, before), m.with(t, after); a.StatusCode != 401 || b.StatusCode != 200 {
		t.Errorf("when the old key has gone: %d, %d", a.StatusCode, b.StatusCode)
	}
}

// Whoever sends false tokens costs the issuer a handful of requests, and those who have good ones
// nothing.
func TestAFloodOfFalseTokens(t *testing.T) {
	t.Parallel()
	m := startTokens(t, newProvider(t, ""))
	good := m.token(nil)
	if a := m.with(t, good); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	start := time.Now()
	seen := map[int]int{}
	for i := range 60 {
		seen[m.with(t, oidctest.SignIDToken(ecKey(), fmt.Sprint("false-", i), "ES256", m.claims(nil))).StatusCode]++
	}
	if seen[401]+seen[503] != 60 || seen[401] == 0 || seen[503] == 0 {
		t.Errorf("answers by status %v, want 401, and 503 when the issuer is not to be asked again yet", seen)
	}
	if n, most := m.asked.Load(), int32(7+time.Since(start)/(2*time.Second)); n > most {
		t.Errorf("the issuer was asked %d times, want at most %d", n, most)
	}
	if a := m.with(t, good); a.StatusCode != 200 {
		t.Errorf("a good token meanwhile: %d %s", a.StatusCode, a.body)
	}
}

func TestManyFirstTokensAskOnce(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "")
	m := startTokens(t, p)
	m.gateway.tokens = bearer.New(p.Client().Transport)
	var all sync.WaitGroup
	rules := *m.gateway.table.APIs()[0].Auth.OIDC
	for range 20 {
		all.Go(func() {
			if user, err := m.gateway.tokens.Check(t.Context(), rules, p.token(nil), time.Now()); err != nil ||
				user != "oidc:ann" {
				t.Errorf("user %q, %v", user, err)
			}
		})
	}
	all.Wait()
	if n := p.asked.Load() - p.askedKeys.Load(); n != 1 {
		t.Errorf("%d discoveries", n)
	}
}

// A caller that goes away while the issuer is asked does not spoil the answer for the others.
func TestACallerThatGoesAway(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "")
	m := startTokens(t, p)
	rules := *m.gateway.table.APIs()[0].Auth.OIDC
	asked, release := make(chan struct{}), make(chan struct{})
	p.change(func() {
		p.instead = func(http.ResponseWriter, *http.Request) bool {
			if asked != nil {
				close(asked)
				asked = nil
				<-release
			}
			return false
		}
	})
	waiting := asked
	ctx, leave := context.WithCancel(t.Context())
	gone, stays := make(chan error), make(chan error)
	check := func(ctx context.Context, end chan error) {
		_, err := m.gateway.tokens.Check(ctx, rules, p.token(nil), time.Now())
		end <- err
	}
	go check(ctx, gone)
	<-waiting
	go check(t.Context(), stays)
	leave()
	if err := <-gone; err == nil || ctx.Err() == nil {
		t.Errorf("who has gone: %v", err)
	}
	close(release)
	if err := <-stays; err != nil {
		t.Errorf("who waits: %v", err)
	}
}

func TestIssuersThatAreNotBelieved(t *testing.T) {
	t.Parallel()
	elsewhere := newProvider(t, "")
	document := func(old, new string) func(*provider, http.ResponseWriter, *http.Request) bool {
		return func(p *provider, w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, "/.well-known/") {
				return false
			}
			_, _ = io.WriteString(w, strings.NewReplacer(old,
				new).Replace(
				fmt.Sprintf(`{"issuer":%q,"jwks_uri":"%[1]s/keys","id_token_signing_alg_values_supported":["RS256"]}`,
					p.URL)))
			return true
		}
	}
	for name, instead := range map[string]func(*provider, http.ResponseWriter, *http.Request) bool{
		"another issuer":                   document(`"issuer":"https://`, `"issuer":"https://x.`),
		"keys without TLS":                 document(`"jwks_uri":"https`, `"jwks_uri":"http`),
		"keys in a file":                   document(`"jwks_uri":"https`, `"jwks_uri":"file`),
		"no keys":                          document(`jwks_uri`, `jwks`),
		"symmetric algorithms only":        document(`RS256`, `HS256`),
		"no algorithms":                    document(`"RS256"`, ``),
		"a document that is no JSON":       document(`{`, `<html>`),
		"a document that has another form": document(`["RS256"]`, `{"RS256":true}`),
		"a document that does not end": func(_ *provider, w http.ResponseWriter, _ *http.Request) bool {
			for n := 0; n < 4<<20; n += 1 << 10 {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<10)); err != nil {
					return true
				}
			}
			return false
		},
		"a way to another host": func(_ *provider, w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusFound)
			return true
		},
		"keys at another host's by a detour": func(_ *provider, w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/keys" {
				http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusFound)
			}
			return r.URL.Path == "/keys"
		},
		"a way that never ends": func(_ *provider, w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, r.URL.Path+"/", http.StatusFound)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t, "")
			p.instead = func(w http.ResponseWriter, r *http.Request) bool { return instead(p, w, r) }
			wantUnavailable(t, startTokens(t, p).with(t, p.token(nil)))
		})
	}
	t.Cleanup(func() { // when all are through
		if n := elsewhere.asked.Load(); n != 0 {
			t.Errorf("the other host was asked %d times", n)
		}
	})
}

// The transport that the gateway really has believes the certificates of the system only.
func TestAnIssuerWithACertificateOfItsOwn(t *testing.T) {
	t.Parallel()
	m := startTokens(t, newProvider(t, ""))
	m.gateway.tokens = bearer.New(bearer.Transport())
	wantUnavailable(t, m.with(t, m.token(nil)))
	if n := m.asked.Load(); n != 0 {
		t.Errorf("it was asked %d times", n)
	}
}

// A hundred wrong passwords at once: a few are looked at, the others wait or are told to come
// again. The same user, from another address, is not concerned, whatever the guesser claims.
func TestGuessingPasswordsIsSlowed(t *testing.T) {
	t.Parallel()
	m := start(t, func(http.ResponseWriter, *http.Request) {})
	const queueProxyAdds = ", 10.0.0.1" // the ingress
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	statuses, told, many := map[int]int{}, "", make(chan struct{})
	var guesses sync.WaitGroup
	for i := range 100 {
		r := m.request(t, "POST", "/leaf/predict", nil, "user", fmt.Sprintf("ann:%d", i), "X-Forwarded-For",
			fmt.Sprintf("10.1.1.%d, 192.0.2.66", i)+queueProxyAdds)
		guesses.Go(func() {
			resp, err := m.Client().Do(r.WithContext(ctx))
			if err != nil {
				return
			}
			resp.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			if statuses[resp.StatusCode]++; resp.StatusCode == http.StatusTooManyRequests {
				told = resp.Header.Get("Retry-After")
			}
			if resp.StatusCode == http.StatusTooManyRequests && statuses[resp.StatusCode] == 50 {
				close(many)
			}
		})
	}
	<-many
	before := time.Now()
	resp, body := m.call(t, "POST", "/leaf/predict", nil, "user", "ann:secret", "X-Forwarded-For",
		"198.51.100.1"+queueProxyAdds)
	// the guesses that wait would make it 8 s, or a 429
	if took := time.Since(before); resp.StatusCode != 200 || took > 5*time.Second {
		t.Errorf("ann: %d %s after %v", resp.StatusCode, body, took)
	}
	cancel()
	guesses.Wait()
	if statuses[http.StatusUnauthorized] > 20 || told == "" {
		t.Errorf("%v, Retry-After %q", statuses, told)
	}
}

// The files and runs of callers of an open API are those of "anonymous": nobody else has this name,
// with a password or with a token.
func TestNobodyIsAnonymous(t *testing.T) {
	t.Parallel()
	m := start(t, func(http.ResponseWriter, *http.Request) {})
	for _, name := range []string{users.Anonymous, "a\nb", "a\x1b[2J", "a\u0085b", "a\x7f"} {
		if err := os.WriteFile(m.dir+"/auth/users/"+name, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(m.dir+"/auth/users/auth", []byte(users.Anonymous+":{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{users.Anonymous, "a\nb", "a\x1b[2J"} {
		resp, body := m.call(t, "POST", "/leaf/predict", nil, "user", name+":secret")
		wantProblem(t, resp, body, http.StatusUnauthorized, problem.Unauthorized)
	}
	if resp, body := m.call(t, "POST", "/leaf/predict", nil, "user", "ann:secret"); resp.StatusCode != 200 {
		t.Errorf("ann: %d %s", resp.StatusCode, body)
	}
}
