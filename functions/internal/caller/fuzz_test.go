package caller_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/internal/caller"
)

// What is verified is what was signed, to the letter, and for no other user, component, method or
// path.
func FuzzSign(f *testing.F) {
	for _, s := range [][4]string{
		{"ann", "leaf", "POST", "/predict"}, {"", "leaf", "GET", "/v2"},
		{"oidc:Аня", "leaf", "POST", "/v2/models/leaf/infer"}, {"\xff", "leaf", "POST", "/predict"},
		{"ann\",\"sub\":\"bob", "leaf", "POST", "/predict"},
		{"<a&b>\u2028", "leaf", "POST", "/predict"}, {"\x00\n", "leaf", "POST", "/predict"},
		{strings.Repeat("a", caller.MaxUser+1), "leaf", "POST", "/predict"}, {"ann", "\xfe", "POST", "/\xff"},
		{"ann", "\xd0", "\x90", "/predict"}, // UTF-8 only together
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	f.Fuzz(func(t *testing.T, user, component, method, path string) {
		c := caller.Claims{User: user, Shown: len(user)%2 == 1, Audience: component, Method: method, Path: path,
			IssuedAt: now, Expiry: now.Add(time.Minute)}
		header, err := caller.Sign(key, c)
		if err != nil {
			if !errors.Is(err, caller.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		got, err := caller.Verify(key, header, method, path, component, now)
		if err != nil || got.User != user || got.Shown != c.Shown || got.Audience != component ||
			got.Method != method || got.Path != path || len(header) > caller.MaxHeader {
			t.Errorf("%+v was signed, %+v verified: %v", c, got, err)
		}
		for _, other := range [][3]string{{method + "x", path, component}, {method, path + "/", component},
			{method, path, component + "x"}} {
			if _, err := caller.Verify(key, header, other[0], other[1], other[2], now); !errors.Is(err,
				caller.ErrInvalid) {
				t.Errorf("%+v is good for %q: %v", c, other, err)
			}
		}
	})
}
