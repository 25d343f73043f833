// Package bearer checks the tokens of OpenID Connect that callers send as "Authorization: Bearer":
// who is the user, and was the token made for this API.
//
// A token is good when it is a JWT in the compact form, signed with a key of the issuer by an
// asymmetric algorithm that the issuer's discovery document lists; says this issuer in iss; has not
// expired and is already valid, give or take Leeway; was made for the client (in aud, as ID tokens
// say it, or as azp, as Keycloak's access tokens do); and names its user in the configured claim.
// The user's identity is the prefix and that name.
//
// Promises: nobody is asked before the first token comes, so a gateway starts and serves its other
// callers while an issuer is down; keys are kept, and fetched again when a token names one that is
// not known, at most every few seconds, so that a flood of false tokens does not become a flood of
// requests; what is read from an issuer is bounded in size and time and comes by TLS, or from the
// very host that was configured with http. A token is never logged and never part of an error.
package bearer

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/eventing/users"
	"github.com/unip-knative/unip/functions/internal/caller"
)

const (
	// MaxToken bounds a token in bytes. Those of realms with many roles have some KiB; the headers
	// of a request must still fit what servers on its way take.
	MaxToken = 16 << 10
	// Leeway is how far the clocks of the issuer and of this machine may be apart.
	Leeway = 30 * time.Second
)

// ErrUnavailable is the error for a token that cannot be checked now: the issuer does not answer,
// or not as a provider does. The same token may be good a moment later.
var ErrUnavailable = errors.New("the issuer's keys cannot be read")

// ErrNotNamed is the error for a good token of a user whom the API does not name: neither by the
// identity nor by a group.
var ErrNotNamed = errors.New("the API does not name the user")

// RefusedError is the error for a token that is not good.
type RefusedError struct {
	// Reason is printable ASCII without quotes: this package's own words, and names of the
	// configuration; nothing of the token.
	Reason string
}

func (e *RefusedError) Error() string { return "the token is refused: " + e.Reason }

func refuse(reason string) error { return &RefusedError{reason} }

// Checker checks tokens. It is safe for concurrent use.
type Checker struct {
	base http.RoundTripper

	mu      sync.Mutex
	issuers map[string]*issuer
}

// New is a Checker that reaches issuers by a transport of its own kind (see Transport).
func New(base http.RoundTripper) *Checker {
	return &Checker{base: base, issuers: map[string]*issuer{}}
}

// Check gives the identity of the user whose token it is: not empty, valid UTF-8 without control
// characters, at most caller.MaxUser bytes. The error is a *RefusedError, ErrNotNamed beside the
// identity, or wraps ErrUnavailable or ctx's error.
func (c *Checker) Check(ctx context.Context, rules routes.OIDC, token string, now time.Time) (string, error) {
	if len(token) > MaxToken {
		return "", refuse("the token is longer than 16 KiB")
	}
	if !compact(token) {
		return "", refuse("the token is not a JWT")
	}
	i, err := c.issuer(rules.Issuer)
	if err != nil {
		return "", err
	}
	t, err := i.verify(ctx, token)
	if err != nil {
		return "", err
	}
	return identify(rules, t, now)
}

// issuer is the one of a URL; the routes name few.
func (c *Checker) issuer(url string) (*issuer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.issuers[url]; i != nil {
		return i, nil
	}
	i, err := newIssuer(url, c.base)
	if err == nil {
		c.issuers[url] = i
	}
	return i, err
}

// compact reports three parts of base64url with something in each: neither JWS's JSON form, which
// has headers that no signature covers, nor a token without a signature.
func compact(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || slices.Contains(parts, "") {
		return false
	}
	return !strings.ContainsFunc(token, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// identify looks at the claims of a token with a good signature.
func identify(rules routes.OIDC, t *oidc.IDToken, now time.Time) (string, error) {
	var known jwt.Claims
	all := map[string]json.RawMessage{}
	if t.Claims(&known) != nil || t.Claims(&all) != nil {
		return "", refuse("a claim of the token is of another type than it should be")
	}
	switch err := known.ValidateWithLeeway(jwt.Expected{Issuer: rules.Issuer, Time: now}, Leeway); {
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return "", refuse("the token is of another issuer")
	case known.Expiry == nil:
		return "", refuse("the token does not say when it expires")
	case errors.Is(err, jwt.ErrExpired):
		return "", refuse("the token has expired")
	case err != nil:
		return "", refuse("the token is not valid yet")
	}
	if azp, _ := textClaim(all, "azp"); !known.Audience.Contains(rules.ClientID) && azp != rules.ClientID {
		return "", refuse("the token was made for another client")
	}
	user, err := identity(rules, all)
	if err == nil && !named(rules, user, all) {
		err = ErrNotNamed
	}
	return user, err
}

// named reports whether the rules let the user call, as one of the users or of the groups.
func named(rules routes.OIDC, user string, claims map[string]json.RawMessage) bool {
	if len(rules.Users)+len(rules.Groups) == 0 || slices.Contains(rules.Users, user) {
		return true
	}
	var groups []string // a claim that is no list of texts is no group
	if len(rules.Groups) == 0 || json.Unmarshal(claimAt(claims, rules.GroupsClaim), &groups) != nil {
		return false
	}
	return slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(rules.Groups, g) })
}

// claimAt is a claim by its name, or, where there is none of that name, by its way through objects:
// Keycloak has roles at realm_access.roles. Nil without one.
func claimAt(claims map[string]json.RawMessage, name string) json.RawMessage {
	if value, ok := claims[name]; ok {
		return value
	}
	outer, inner, nested := strings.Cut(name, ".")
	var below map[string]json.RawMessage
	if !nested || json.Unmarshal(claims[outer], &below) != nil {
		return nil
	}
	return claimAt(below, inner)
}

// identity is that which the claims give.
func identity(rules routes.OIDC, claims map[string]json.RawMessage) (string, error) {
	name, ok := textClaim(claims, rules.UserClaim)
	switch {
	case !ok:
		return "", refuse("the token has no claim " + rules.UserClaim + " with a text")
	case len(rules.UserPrefix)+len(name) > caller.MaxUser:
		return "", refuse("the claim " + rules.UserClaim + " is too long")
	// What is no UTF-8 has been read as U+FFFD: different names would become one.
	case strings.ContainsFunc(name, func(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }):
		return "", refuse("the claim " + rules.UserClaim + " has characters that no name can have")
	}
	verified, told := claims["email_verified"]
	if rules.UserClaim == "email" && (told || rules.SameAsBasic) && string(verified) != "true" &&
		string(verified) != `"true"` {
		return "", refuse("the e-mail address of the token is not verified")
	}
	user := rules.Identity(name)
	if user == users.Anonymous {
		return "", refuse("the claim " + rules.UserClaim + " has a name that nobody can have")
	}
	return user, nil
}

// textClaim is the value of a claim that is a text, and not an empty one.
func textClaim(claims map[string]json.RawMessage, name string) (s string, ok bool) {
	ok = json.Unmarshal(claims[name], &s) == nil && s != ""
	return s, ok
}
