// Package caller is the word of a module's gateway to the module's components about who calls: a
// JWT (HS256, typ unip-caller+jwt) in the header Unip-Caller, signed with the module's key.
//
// What it promises: a component that verifies the header knows that the gateway of its own module
// made it less than Life ago, for this component, method and path; and a process that asks Once
// takes each header once. What it does not: the request's body is not covered, and another pod of
// the component takes the same header once more. The key lies only in the gateway's and in the
// components' server containers, never in a container of the module's author.
package caller

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/unip-knative/unip/eventing/users"
)

// Header carries the signed claims. A gateway drops it when it comes from outside.
const Header = "Unip-Caller"

// Issuer is the only issuer that Verify believes.
const Issuer = "gateway"

const (
	// MinKey is the shortest key in bytes: HS256's own minimum (RFC 7518, 3.2), and what the
	// controller makes.
	MinKey = 32
	// MaxHeader bounds the header in bytes. A user's name of MaxUser bytes and two paths fit.
	MaxHeader = 4 << 10
	// MaxUser bounds a user's name in bytes.
	MaxUser = users.MaxName
	// Life is how long a signature is good for beginning its call, which may then take longer. The
	// gateway signs when the component is awake, so only queues come between.
	Life = 60 * time.Second
	// Leeway is how far the clocks of two nodes may be apart.
	Leeway = 5 * time.Second

	typ = "unip-caller+jwt"
)

// Errors of Verify and Sign, to be looked for with errors.Is.
var (
	// ErrInvalid: the header is no such token, was changed, is signed with another key, or speaks
	// of another call.
	ErrInvalid = errors.New("caller signature is not valid")
	// ErrExpired: the header was good, but its life is over. It is no ErrInvalid.
	ErrExpired = errors.New("caller signature has expired")
	// ErrKey: the key is missing or too short; the controller has not filled in the module's key
	// yet.
	ErrKey = errors.New("module key is missing or shorter than 32 bytes")
)

// Claims is what the gateway says of one call.
type Claims struct {
	// User is the verified caller, "" for an anonymous one. It is for the component's server alone,
	// unless Shown says that the module's function may know it too.
	User  string
	Shown bool
	// Audience is the component's name, the Knative Service that is called.
	Audience string
	// Method and Path are the request's method and its path as it goes over the wire
	// (URL.EscapedPath, without a query).
	Method, Path string
	// IssuedAt and Expiry are exact to the second. Expiry is Life after IssuedAt; Sign does not
	// look at it.
	IssuedAt, Expiry time.Time
	// ID is this signature's own. Sign makes it.
	ID ID
}

// ID tells a signature from all others. It is random.
type ID [16]byte

// wire is the token's payload.
type wire struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Method   string `json:"htm"`
	Path     string `json:"htu"`
	Expiry   int64  `json:"exp"`
	IssuedAt int64  `json:"iat"`
	ID       string `json:"jti"`
	Shown    bool   `json:"shown,omitempty"`
}

// Sign makes the header's value. The error is ErrKey, or ErrInvalid for claims that Verify would
// refuse whatever the time is.
func Sign(key []byte, c Claims) (string, error) {
	if len(key) < MinKey {
		return "", ErrKey
	}
	var id ID
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	w := wire{
		Issuer: Issuer, Subject: c.User, Audience: c.Audience, Method: c.Method, Path: c.Path,
		IssuedAt: c.IssuedAt.Unix(), Expiry: c.IssuedAt.Add(Life).Unix(), ID: encoding.EncodeToString(id[:]),
		Shown: c.Shown,
	}
	if err := w.check(c.Method, c.Path, c.Audience); err != nil {
		return "", err
	}
	payload, err := json.Marshal(w)
	if err != nil {
		return "", fmt.Errorf("signing the caller: %w", err)
	}
	b := encoding.AppendEncode([]byte(head), payload)
	sum := mac(key, b)
	s := string(encoding.AppendEncode(append(b, '.'), sum[:]))
	if len(s) > MaxHeader {
		return "", fmt.Errorf("%w: larger than %d bytes", ErrInvalid, MaxHeader)
	}
	return s, nil
}

// Verify checks the header of a call (method, path, audience: see Claims) at the time now. Only the
// very bytes that Sign made are good: another spelling of the same token is refused too. Whether
// the header was shown before is Once's to say. The error is ErrKey, ErrInvalid or ErrExpired,
// wrapped, and never quotes the header.
func Verify(key []byte, header, method, path, audience string, now time.Time) (Claims, error) {
	if len(key) < MinKey {
		return Claims{}, ErrKey
	}
	if len(header) > MaxHeader {
		return Claims{}, fmt.Errorf("%w: larger than %d bytes", ErrInvalid, MaxHeader)
	}
	i := strings.LastIndexByte(header, '.')
	if i < len(head) || !strings.HasPrefix(header, head) {
		return Claims{}, fmt.Errorf("%w: not a JWT of the type %s signed with HS256", ErrInvalid, typ)
	}
	var sum [sha256.Size]byte
	if want := mac(key, []byte(header[:i])); !decode(sum[:], header[i+1:]) || !hmac.Equal(sum[:], want[:]) {
		return Claims{}, fmt.Errorf("%w: signed with another key, or changed", ErrInvalid)
	}
	payload, err := encoding.DecodeString(header[len(head):i])
	if err != nil {
		return Claims{}, fmt.Errorf("%w: claims of another form", ErrInvalid)
	}
	var w wire
	if err := json.Unmarshal(payload, &w); err != nil {
		return Claims{}, fmt.Errorf("%w: claims of another form", ErrInvalid)
	}
	if err := w.check(method, path, audience); err != nil {
		return Claims{}, err
	}
	var id ID
	if !decode(id[:], w.ID) {
		return Claims{}, fmt.Errorf("%w: without an id", ErrInvalid)
	}
	c := Claims{
		User: w.Subject, Shown: w.Shown, Audience: w.Audience, Method: w.Method, Path: w.Path,
		IssuedAt: time.Unix(w.IssuedAt, 0), Expiry: time.Unix(w.Expiry, 0), ID: id,
	}
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
	case !valid(w.Subject, w.Audience, w.Method, w.Path):
		return fmt.Errorf("%w: not UTF-8", ErrInvalid)
	case len(w.Subject) > MaxUser:
		return fmt.Errorf("%w: user's name is longer than %d bytes", ErrInvalid, MaxUser)
	case w.IssuedAt <= 0 || w.Expiry <= w.IssuedAt || life > Life || life < 0:
		return fmt.Errorf("%w: not within a lifetime of %s", ErrInvalid, Life)
	}
	return nil
}

// valid says that every text is UTF-8 by itself: JSON would write two others as one. (Together they
// may be UTF-8 where none of them is.)
func valid(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) })
}

// encoding of JWTs. Strict, so that a text has one spelling.
var encoding = base64.RawURLEncoding.Strict()

// head is the JOSE header of every signature, {"alg":"HS256","typ":typ}. Nothing is read from the
// header of one that comes: it must be this one.
var head = encoding.EncodeToString([]byte(`{"alg":"HS256","typ":"`+typ+`"}`)) + "."

func mac(key, signed []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(signed)
	h.Sum(sum[:0])
	return sum
}

// decode fills b from a text that is as long as it must be and has no other spelling. (Go's decoder
// skips line breaks: then too few bytes come.)
func decode(b []byte, s string) bool {
	if len(s) != encoding.EncodedLen(len(b)) {
		return false
	}
	n, err := encoding.Decode(b, []byte(s))
	return err == nil && n == len(b)
}
