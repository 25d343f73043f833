// Package caller is the word of a module's gateway to the module's components about who calls: a JWT (HS256, typ unip-caller+jwt) in the
// header Unip-Caller, signed with the module's key.
//
// What it promises: a component that verifies the header knows that the gateway of its own module made it, for this component, method and
// path, and that the call's deadline has not passed. What it does not: the request's body is not covered, and within the deadline the same
// header may be shown again, by whoever reads the calls between gateway and component. The key lies only in the gateway's and in the
// components' server containers, never in a container of the module's author.
package caller

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Header carries the signed claims. A gateway drops it when it comes from outside.
const Header = "Unip-Caller"

// Issuer is the only issuer that Verify believes.
const Issuer = "gateway"

const (
	// MinKey is the shortest key in bytes: HS256's own minimum (RFC 7518, 3.2), and what the controller makes.
	MinKey = 32
	// MaxHeader bounds the header in bytes. A user's name of MaxUser bytes and two paths fit.
	MaxHeader = 4 << 10
	// MaxUser bounds a user's name in bytes.
	MaxUser = 512
	// MaxLife bounds exp-iat: Knative ends every request after 600 s, and a cold start may hold one for some minutes before.
	MaxLife = 30 * time.Minute
	// Leeway is how far the clocks of two nodes may be apart.
	Leeway = 5 * time.Second

	typ = "unip-caller+jwt"
)

// Errors of Verify and Sign, to be looked for with errors.Is.
var (
	// ErrInvalid: the header is no such token, was changed, is signed with another key, or speaks of another call.
	ErrInvalid = errors.New("caller signature is not valid")
	// ErrExpired: the header was good, but its call's deadline has passed. It is no ErrInvalid.
	ErrExpired = errors.New("caller signature has expired")
	// ErrKey: the key is missing or too short; the controller has not filled in the module's key yet.
	ErrKey = errors.New("module key is missing or shorter than 32 bytes")
)

// Claims is what the gateway says of one call.
type Claims struct {
	// User is the verified caller, "" for an anonymous one.
	User string
	// Audience is the component's name, the Knative Service that is called.
	Audience string
	// Method and Path are the request's method and its path as it goes over the wire (URL.EscapedPath, without a query).
	Method, Path string
	// IssuedAt and Expiry are exact to the second. Expiry is the call's own deadline.
	IssuedAt, Expiry time.Time
}

// wire is the token's payload.
type wire struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Method   string `json:"htm"`
	Path     string `json:"htu"`
	Expiry   int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
}

// Sign makes the header's value. The error is ErrKey, or ErrInvalid for claims that Verify would refuse whatever the time is.
func Sign(key []byte, c Claims) (string, error) {
	if len(key) < MinKey {
		return "", ErrKey
	}
	w := wire{Issuer, c.User, c.Audience, c.Method, c.Path, c.Expiry.Unix(), c.IssuedAt.Unix()}
	if err := w.check(c.Method, c.Path, c.Audience); err != nil {
		return "", err
	}
	payload, err := json.Marshal(w)
	if err != nil {
		return "", fmt.Errorf("signing the caller: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: key}, (&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		return "", fmt.Errorf("signing the caller: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing the caller: %w", err)
	}
	s, err := jws.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("signing the caller: %w", err)
	}
	if len(s) > MaxHeader {
		return "", fmt.Errorf("%w: larger than %d bytes", ErrInvalid, MaxHeader)
	}
	return s, nil
}

// Verify checks the header of a call (method, path, audience: see Claims) at the time now. Only the very bytes that Sign made are good:
// another spelling of the same token is refused too. The error is ErrKey, ErrInvalid or ErrExpired, wrapped, and never quotes the header.
func Verify(key []byte, header, method, path, audience string, now time.Time) (Claims, error) {
	if len(key) < MinKey {
		return Claims{}, ErrKey
	}
	if len(header) > MaxHeader {
		return Claims{}, fmt.Errorf("%w: larger than %d bytes", ErrInvalid, MaxHeader)
	}
	if !canonical(header) {
		return Claims{}, fmt.Errorf("%w: not a compact JWT", ErrInvalid)
	}
	jws, err := jose.ParseSignedCompact(header, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return Claims{}, fmt.Errorf("%w: not a JWT signed with HS256", ErrInvalid)
	}
	if t, _ := jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType].(string); t != typ {
		return Claims{}, fmt.Errorf("%w: a token of another type", ErrInvalid)
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: signed with another key, or changed", ErrInvalid)
	}
	var w wire
	if err := json.Unmarshal(payload, &w); err != nil {
		return Claims{}, fmt.Errorf("%w: claims of another form", ErrInvalid)
	}
	if err := w.check(method, path, audience); err != nil {
		return Claims{}, err
	}
	c := Claims{w.Subject, w.Audience, w.Method, w.Path, time.Unix(w.IssuedAt, 0), time.Unix(w.Expiry, 0)}
	if c.IssuedAt.After(now.Add(Leeway)) {
		return Claims{}, fmt.Errorf("%w: made in the future", ErrInvalid)
	}
	if !now.Before(c.Expiry.Add(Leeway)) {
		return Claims{}, ErrExpired
	}
	return c, nil
}

// check compares everything but the time.
func (w wire) check(method, path, audience string) error {
	life := time.Duration(w.Expiry-w.IssuedAt) * time.Second
	switch {
	case w.Issuer != Issuer:
		return fmt.Errorf("%w: another issuer", ErrInvalid)
	case w.Audience == "" || w.Audience != audience:
		return fmt.Errorf("%w: for another component", ErrInvalid)
	case w.Method == "" || w.Method != method:
		return fmt.Errorf("%w: for another method", ErrInvalid)
	case w.Path == "" || w.Path != path:
		return fmt.Errorf("%w: for another path", ErrInvalid)
	case len(w.Subject) > MaxUser:
		return fmt.Errorf("%w: user's name is longer than %d bytes", ErrInvalid, MaxUser)
	case w.IssuedAt <= 0 || w.Expiry <= w.IssuedAt || life > MaxLife || life < 0:
		return fmt.Errorf("%w: not within a lifetime of %s", ErrInvalid, MaxLife)
	}
	return nil
}

// canonical reports three parts of unpadded base64url whose unused last bits are zero, so that no second spelling of a token exists.
// (Go's decoder skips line breaks, hence the look at the length.)
func canonical(header string) bool {
	parts := strings.Split(header, ".")
	if len(parts) != 3 {
		return false
	}
	for _, p := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(p)
		if err != nil || p == "" || base64.RawURLEncoding.EncodedLen(len(b)) != len(p) {
			return false
		}
	}
	return true
}
