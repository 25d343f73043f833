package inputs

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Issuer is an OpenID Connect provider with one RSA key, and the client whose tokens an API takes.
// The claim preferred_username names the user.
type Issuer struct {
	URL, Client, KeyID string
	Key                *rsa.PrivateKey
}

// Token is a token that is refused.
type Token struct {
	Name, Text string
	// Signed: the issuer's key has signed it, in a form that is known, so that it is refused for
	// what it says.
	Signed bool
}

type fields = map[string]any

// Token is a good token of ann's, with changes of its claims; a change to nil takes a claim out.
func (i Issuer) Token(changes map[string]any) string {
	return i.sign(fields{}, i.claims(changes), i.Key)
}

func (i Issuer) claims(changes fields) string {
	now := time.Now()
	all := fields{
		"iss": i.URL, "aud": "account", "azp": i.Client, "sub": "5b1f", "typ": "Bearer", "preferred_username": "ann",
		"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return text(all)
}

// sign makes a token with RS256, whatever the header says.
func (i Issuer) sign(header fields, claims string, key *rsa.PrivateKey) string {
	signed := i.head(header) + "." + encode(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return signed + "." + encode(string(signature))
}

// symmetric makes a token with HS256.
func (i Issuer) symmetric(secret []byte) string {
	signed := i.head(fields{"alg": "HS256"}) + "." + encode(i.claims(nil))
	h := hmac.New(sha256.New, secret)
	_, _ = h.Write([]byte(signed)) // never fails
	return signed + "." + encode(string(h.Sum(nil)))
}

func (i Issuer) head(changes fields) string {
	header := fields{"alg": "RS256", "kid": i.KeyID, "typ": "JWT"}
	maps.Copy(header, changes)
	return encode(text(header))
}

// Forged are tokens that somebody else made, or changed.
func (i Issuer) Forged() []Token {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKIXPublicKey(i.Key.Public())
	if err != nil {
		panic(err)
	}
	good := strings.Split(i.Token(nil), ".")
	modulus := i.Key.N.Bytes()
	jwk := fields{"kty": "RSA", "n": encode(string(other.N.Bytes())), "e": "AQAB", "kid": i.KeyID, "alg": "RS256"}
	join := func(parts ...string) string { return strings.Join(parts, ".") }
	var all []Token
	add := func(name, text string) { all = append(all, Token{Name: name, Text: text}) }
	for _, alg := range []string{"none", "None", "nOnE", "", "HS256", "RS384", "ES256", "PS256", "EdDSA"} {
		add(fmt.Sprintf("alg %q and no signature", alg), join(i.head(fields{"alg": alg}), good[1], ""))
		add(fmt.Sprintf("alg %q and another's signature", alg), join(i.head(fields{"alg": alg}), good[1], good[2]))
	}
	for name, secret := range map[string][]byte{
		"the public key's PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"the public key's DER": der,
		"the modulus":          modulus, "the modulus as it is published": []byte(encode(string(modulus))),
		"nothing":    {},
		"the client": []byte(i.Client),
	} {
		add("HS256 with "+name, i.symmetric(secret))
	}
	for name, header := range map[string]fields{
		"under the known id": {}, "under no id": {"kid": ""}, "under an unknown id": {"kid": "three"},
		"under a path": {"kid": "../../../../dev/null"}, "under a list": {"kid": []string{i.KeyID}},
		"that it brings": {"jwk": jwk}, "to be fetched": {"jku": "http://127.0.0.1:1/keys"},
		"of a certificate to be fetched": {"x5u": "http://127.0.0.1:1/c"},
		"and rules of its own":           {"crit": []string{"exp"}, "exp": 1},
	} {
		add("another key "+name, i.sign(header, i.claims(nil), other))
	}
	add("changed claims", join(good[0], encode(i.claims(fields{"preferred_username": "bob"})), good[2]))
	add("a changed header", join(i.head(fields{"cty": "x"}), good[1], good[2]))
	add("a signature that is cut", join(good[0], good[1], good[2][:len(good[2])-4]))
	add("no signature", join(good[0], good[1], ""))
	add("two parts", join(good[0], good[1]))
	add("four parts", join(good[0], good[1], good[2], good[2]))
	add("five parts, as if encrypted", join(i.head(fields{"alg": "RSA-OAEP", "enc": "A256GCM"}), good[1], good[1],
		good[1], good[2]))
	add("padding", join(good[0], good[1], good[2])+"=")
	add("the JSON form", fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, good[1], good[0], good[2]))
	add("other letters", join(good[0], good[1], good[2])+"%41")
	add("a list", join(good[0], good[1], good[2])+","+join(good[0], good[1], good[2]))
	add("no JSON", join("eyJ", "eyJ", "eyJ"))
	add("dots", "..")
	add("a word", "ann")
	add("null", "null")
	return all
}

// Stale are tokens of the issuer itself that are not for this API, not now, or not for a user.
func (i Issuer) Stale() []Token {
	now := time.Now()
	var all []Token
	add := func(name string, changes fields) { all = append(all, Token{name, i.Token(changes), true}) }
	add("expired", fields{"exp": now.Add(-2 * time.Minute).Unix()})
	add("expired when time began", fields{"exp": 0})
	add("expired before", fields{"exp": -1})
	add("no expiry", fields{"exp": nil})
	add("an expiry that is a text", fields{"exp": "tomorrow"})
	add("an expiry beyond numbers", fields{"exp": 1e300})
	add("not yet valid", fields{"nbf": now.Add(10 * time.Minute).Unix()})
	add("made in the future", fields{"iat": now.Add(10 * time.Minute).Unix()})
	add("another issuer", fields{"iss": "https://other.example.org"})
	add("the issuer with a slash", fields{"iss": i.URL + "/"})
	add("the issuer in capitals", fields{"iss": strings.ToUpper(i.URL)})
	add("two issuers", fields{"iss": []string{i.URL}})
	add("no issuer", fields{"iss": nil})
	add("another client", fields{"azp": "other"})
	add("a client that begins like it", fields{"azp": i.Client + "2", "aud": i.Client + "2"})
	add("the client in capitals", fields{"azp": strings.ToUpper(i.Client)})
	add("a client in a list", fields{"azp": []string{i.Client}})
	add("a client in an object", fields{"azp": nil, "aud": fields{i.Client: true}})
	add("no client", fields{"azp": nil, "aud": nil})
	add("no name", fields{"preferred_username": nil})
	add("an empty name", fields{"preferred_username": ""})
	add("a number as name", fields{"preferred_username": 7})
	add("a list as name", fields{"preferred_username": []string{"bob"}})
	add("the name in capitals", fields{"preferred_username": nil, "PREFERRED_USERNAME": "bob"})
	add("a name of two lines", fields{"preferred_username": "bob\nx"})
	add("a name with a NUL", fields{"preferred_username": "bob\x00"})
	add("a name that steers terminals", fields{"preferred_username": "bob\x1b[2J"})
	add("a name of 600 letters", fields{"preferred_username": strings.Repeat("u", 600)})
	add("over 16 KiB", fields{"roles": strings.Repeat("role ", 2600)})
	for name, header := range map[string]fields{
		"a rule that nobody knows":      {"crit": []string{"x"}, "x": 1},
		"a payload that is not encoded": {"crit": []string{"b64"}, "b64": false},
	} {
		all = append(all, Token{name, i.sign(header, i.claims(nil), i.Key), false})
	}
	return append(all, Token{"claims that are a list", i.sign(fields{}, `["bob"]`, i.Key), true},
		Token{"a name twice", i.sign(fields{}, strings.Replace(i.claims(nil), `"ann"`,
			`"ann","preferred_username":["bob"]`, 1), i.Key), true})
}

// Impostors are names that a token may have, and that are then no user's but the token's own.
var Impostors = []string{
	"bob", "oidc:bob", "../bob", "bob/file_groups/..", "bob/../bob", "%62ob", "BOB", "bob ", "anonymous",
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
