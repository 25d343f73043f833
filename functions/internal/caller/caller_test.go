package caller_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/functions/internal/caller"
)

var (
	key = bytes.Repeat([]byte{7}, 32)
	now = time.Unix(1_800_000_000, 0)
)

func claims() caller.Claims {
	return caller.Claims{User: "ann", Audience: "leaf", Method: "POST", Path: "/predict", IssuedAt: now}
}

func sign(t testing.TB, c caller.Claims) string {
	t.Helper()
	h, err := caller.Sign(key, c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// forge signs any payload under any header, as somebody with a key of their own (or ours) could.
func forge(t *testing.T, k []byte, alg jose.SignatureAlgorithm, typ string, payload any) string {
	t.Helper()
	o := &jose.SignerOptions{}
	if typ != "" {
		o = o.WithType(jose.ContentType(typ))
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: k}, o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	h, err := j.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func Example() {
	key := []byte("a key of at least 32 bytes, random in truth")
	now := time.Unix(1_800_000_000, 0)
	h, err := caller.Sign(key, caller.Claims{User: "ann", Audience: "leaf", Method: "POST", Path: "/predict",
		IssuedAt: now})
	if err != nil {
		panic(err)
	}
	c, err := caller.Verify(key, h, "POST", "/predict", "leaf", now.Add(time.Second))
	fmt.Println(c.User, err)
	_, err = caller.Verify(key, h, "POST", "/predict", "another", now)
	fmt.Println(err)
	// Output:
	// ann <nil>
	// caller signature is not valid: for another component
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"", "ann", "Аня Иванова", `q"uo\te`, "oidc:a/b@c",
		strings.Repeat("u", caller.MaxUser)} {
		c := claims()
		c.User = user
		got, err := caller.Verify(key, sign(t, c), "POST", "/predict", "leaf", now)
		if err != nil {
			t.Fatalf("user %q: %v", user, err)
		}
		if got.ID == (caller.ID{}) {
			t.Error("no id")
		}
		c.Expiry, c.ID = now.Add(caller.Life), got.ID
		if d := cmp.Diff(c, got); d != "" {
			t.Errorf("user %q (-want +got):\n%s", user, d)
		}
	}
}

// Every single changed, dropped, added or repeated byte is refused, also one that base64 decodes to
// the same token.
func TestAnyChangeIsRefused(t *testing.T) {
	t.Parallel()
	h := sign(t, claims())
	refused := func(s string) {
		t.Helper()
		if s == h {
			return
		}
		if c, err := caller.Verify(key, s, "POST", "/predict", "leaf", now); !errors.Is(err, caller.ErrInvalid) {
			t.Errorf("header %q: claims %+v, error %v", s, c, err)
		}
	}
	for i := range len(h) {
		for _, b := range []byte("ABCgw048-_.=\n\r +/") {
			refused(h[:i] + string(b) + h[i+1:])
			refused(h[:i] + string(b) + h[i:])
		}
		refused(h[:i] + h[i+1:])
		refused(h[:i])
	}
	refused(h + h)
	refused(h + ".")
	refused(h + "=")
	refused(h + "\n")
	refused(" " + h)
	refused("Bearer " + h)
	refused("")
	refused("..")
}

func TestRandomTextIsRefused(t *testing.T) {
	t.Parallel()
	property := func(a, b, c []byte, k [32]byte) bool {
		e := base64.RawURLEncoding.EncodeToString
		for _, h := range []string{string(a), e(a) + "." + e(b) + "." + e(c)} {
			if _, err := caller.Verify(k[:], h, "POST", "/predict", "leaf", now); !errors.Is(err, caller.ErrInvalid) {
				return false
			}
		}
		_, err := caller.Verify(k[:], sign(t, claims()), "POST", "/predict", "leaf", now)
		return errors.Is(err, caller.ErrInvalid) // another key
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 500}); err != nil {
		t.Error(err)
	}
}

// A part of one good token never goes with the parts of another.
func TestMixedTokensAreRefused(t *testing.T) {
	t.Parallel()
	c := claims()
	a := strings.Split(sign(t, c), ".")
	c.User = "boris"
	b := strings.Split(sign(t, c), ".")
	for _, h := range [][]string{{a[0], b[1], a[2]}, {a[0], a[1], b[2]}} {
		if _, err := caller.Verify(key, strings.Join(h, "."), "POST", "/predict", "leaf", now); !errors.Is(err,
			caller.ErrInvalid) {
			t.Errorf("mixed token: %v", err)
		}
	}
}

func TestAnotherCallIsRefused(t *testing.T) {
	t.Parallel()
	h := sign(t, claims())
	for name, call := range map[string][3]string{
		"method": {"GET", "/predict", "leaf"}, "path": {"POST", "/openapi.json", "leaf"},
		"path with a slash": {"POST", "/predict/", "leaf"},
		"audience":          {"POST", "/predict", "other"}, "no audience": {"POST", "/predict", ""},
	} {
		if _, err := caller.Verify(key, h, call[0], call[1], call[2], now); !errors.Is(err, caller.ErrInvalid) {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	h := sign(t, claims())
	for name, tc := range map[string]struct {
		at   time.Duration
		want error
	}{
		"at once":             {0, nil},
		"a slow clock":        {-caller.Leeway, nil},
		"from the future":     {-caller.Leeway - time.Second, caller.ErrInvalid},
		"after 60 s":          {time.Minute, nil},
		"within the leeway":   {time.Minute + caller.Leeway - 1, nil},
		"after it":            {time.Minute + caller.Leeway, caller.ErrExpired},
		"long after":          {1000 * time.Hour, caller.ErrExpired},
		"a call from the old": {-1000 * time.Hour, caller.ErrInvalid},
	} {
		if _, err := caller.Verify(key, h, "POST", "/predict", "leaf", now.Add(tc.at)); !errors.Is(err, tc.want) {
			t.Errorf("%s: error %v, want %v", name, err, tc.want)
		}
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	good := map[string]any{"iss": "gateway", "sub": "ann", "aud": "leaf", "htm": "POST", "htu": "/predict",
		"iat": now.Unix(), "exp": now.Unix() + 60, "jti": strings.Repeat("A", 22)}
	if _, err := caller.Verify(key, forge(t, key, jose.HS256, "unip-caller+jwt", good), "POST", "/predict", "leaf",
		now); err != nil {
		t.Fatalf("what the others are made from: %v", err)
	}
	with := func(k string, v any) map[string]any {
		m := map[string]any{}
		for k, v := range good {
			m[k] = v
		}
		if m[k] = v; v == nil {
			delete(m, k)
		}
		return m
	}
	const typ = "unip-caller+jwt"
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	payload, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	long := bytes.Repeat([]byte{7}, 64)
	for name, h := range map[string]string{
		"alg none": b64(`{"alg":"none","typ":"unip-caller+jwt"}`) + "." + b64(string(payload)) + ".",
		"alg none and a sign": b64(`{"alg":"none","typ":"unip-caller+jwt"}`) + "." + b64(string(payload)) + "." +
			b64(strings.Repeat("x", 32)),
		"alg HS512, same key":     forge(t, long, jose.HS512, typ, good),
		"no type":                 forge(t, key, jose.HS256, "", good),
		"another type":            forge(t, key, jose.HS256, "JWT", good),
		"another issuer":          forge(t, key, jose.HS256, typ, with("iss", "somebody")),
		"no issuer":               forge(t, key, jose.HS256, typ, with("iss", nil)),
		"no expiry":               forge(t, key, jose.HS256, typ, with("exp", nil)),
		"no start":                forge(t, key, jose.HS256, typ, with("iat", nil)),
		"no method":               forge(t, key, jose.HS256, typ, with("htm", nil)),
		"many audiences":          forge(t, key, jose.HS256, typ, with("aud", []string{"leaf", "other"})),
		"a life of a day":         forge(t, key, jose.HS256, typ, with("exp", now.Unix()+86400)),
		"a life of 61 s":          forge(t, key, jose.HS256, typ, with("exp", now.Unix()+61)),
		"no id":                   forge(t, key, jose.HS256, typ, with("jti", nil)),
		"a short id":              forge(t, key, jose.HS256, typ, with("jti", "AAAA")),
		"a long id":               forge(t, key, jose.HS256, typ, with("jti", strings.Repeat("A", 24))),
		"another spelling":        forge(t, key, jose.HS256, typ, with("jti", strings.Repeat("A", 21)+"B")),
		"an id with a line break": forge(t, key, jose.HS256, typ, with("jti", strings.Repeat("A", 21)+"\n")),
		"a number as id":          forge(t, key, jose.HS256, typ, with("jti", 7)),
		"an overflowing lifetime": forge(t, key, jose.HS256, typ, with("exp", int64(1)<<62)),
		"a word as shown":         forge(t, key, jose.HS256, typ, with("shown", "true")),
		"a number as user":        forge(t, key, jose.HS256, typ, with("sub", 7)),
		"a list":                  forge(t, key, jose.HS256, typ, []int{1}),
		"a user of 513 bytes":     forge(t, key, jose.HS256, typ, with("sub", strings.Repeat("u", caller.MaxUser+1))),
		"over 4 KiB":              forge(t, key, jose.HS256, typ, with("pad", strings.Repeat("u", caller.MaxHeader))),
	} {
		k := key
		if strings.HasPrefix(name, "alg HS512") {
			k = long
		}
		if c, err := caller.Verify(k, h, "POST", "/predict", "leaf", now); !errors.Is(err, caller.ErrInvalid) {
			t.Errorf("%s: claims %+v, error %v", name, c, err)
		}
	}
}

// No two signatures are the same, also of the same call in the same second.
func TestIDs(t *testing.T) {
	t.Parallel()
	seen := map[caller.ID]bool{}
	for range 1000 {
		c, err := caller.Verify(key, sign(t, claims()), "POST", "/predict", "leaf", now)
		if err != nil || seen[c.ID] {
			t.Fatalf("%v, seen %v", err, seen[c.ID])
		}
		seen[c.ID] = true
	}
}

func BenchmarkSign(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		sign(b, claims())
	}
}

func BenchmarkVerify(b *testing.B) {
	h := sign(b, claims())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := caller.Verify(key, h, "POST", "/predict", "leaf", now); err != nil {
			b.Fatal(err)
		}
	}
}

func TestShortKeysAreRefused(t *testing.T) {
	t.Parallel()
	h := sign(t, claims())
	for _, k := range [][]byte{nil, {}, key[:31]} {
		if _, err := caller.Sign(k, claims()); !errors.Is(err, caller.ErrKey) {
			t.Errorf("Sign with %d bytes: %v", len(k), err)
		}
		if _, err := caller.Verify(k, h, "POST", "/predict", "leaf", now); !errors.Is(err, caller.ErrKey) {
			t.Errorf("Verify with %d bytes: %v", len(k), err)
		}
	}
}

// What Sign makes, Verify accepts; what Verify would refuse, Sign does not make.
func TestSignRefusesWhatVerifyWould(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		c := caller.Claims{
			User: strings.Repeat("я", r.IntN(300)), Audience: "leaf", Method: "POST", Path: "/" + strings.Repeat("p",
				r.IntN(4000)),
			IssuedAt: now,
		}
		h, err := caller.Sign(key, c)
		if err != nil {
			if !errors.Is(err, caller.ErrInvalid) {
				t.Fatalf("claims %+v: %v", c, err)
			}
			continue
		}
		if _, err := caller.Verify(key, h, c.Method, c.Path, c.Audience, now); err != nil {
			t.Fatalf("claims %+v: %v", c, err)
		}
	}
}

// Nothing is good but what was signed. The signature is made once: each process of a fuzz run would
// give it another id.
func FuzzVerify(f *testing.F) {
	const good = "eyJhbGciOiJIUzI1NiIsInR5cCI6InVuaXAtY2FsbGVyK2p3dCJ9." +
		"eyJpc3MiOiJnYXRld2F5Iiwic3ViIjoiYW5uIiwiYXVkIjoibGVhZiIsImh0bSI6IlBPU1QiLCJodHUiOiIvcHJlZGljdCIsImV4cCI6MTgwMDAwMDA2MCwiaWF0IjoxODAwMDAwMDAwLCJqdGkiOiIxYnMxa0QzSHRrb1ZUQkhNbS01aUxRIn0." +
		"OSJh4h9A4-QMXA2z5ikobGSY-RmvzfXDNdJXQ4nwA1E"
	if _, err := caller.Verify(key, good, "POST", "/predict", "leaf", now); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, h string) {
		if _, err := caller.Verify(key, h, "POST", "/predict", "leaf", now); (err == nil) != (h == good) {
			t.Errorf("header %q: %v", h, err)
		}
	})
}
