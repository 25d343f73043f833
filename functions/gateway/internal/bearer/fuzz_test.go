package bearer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/gateway/internal/bearer"
)

// Of all texts only what the issuer signed is a token, and no error quotes one.
func FuzzToken(f *testing.F) {
	srv, sign := start()
	f.Cleanup(srv.Close)
	c, now := bearer.New(srv.Client().Transport), time.Now()
	good := sign(fmt.Sprintf(`{"iss":%q,"aud":"end-users","exp":%d,"preferred_username":"ann"}`, srv.URL,
		now.Add(time.Hour).Unix()))
	parts := strings.Split(good, ".")
	for _, s := range []string{
		good, good + "=", good + ".", "." + good, good + "A", strings.ToLower(good), parts[0] + "." + parts[1] + ".",
		parts[0] + ".." + parts[2], "eyJhbGciOiJub25lIn0." + parts[1] + ".AA",
		"eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ." + parts[1] + "." + parts[2],
		parts[1] + "." + parts[0] + "." + parts[2], "a.b.c", "", "..", `{"payload":"","signatures":[]}`,
		strings.Repeat("a",
			20<<10), good[:len(good)-1], " " + good, good + "\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		user, err := c.Check(t.Context(), rules(srv), token, now)
		var refused *bearer.RefusedError
		switch {
		// The last letter of a signature has bits that mean nothing: other spellings of it say the
		// same.
		case err == nil && (user != "oidc:ann" || len(token) != len(good) ||
			token[:len(token)-1] != good[:len(good)-1]):
			t.Errorf("%q is %q", token, user)
		case err != nil && (user != "" || !errors.As(err, &refused) && !errors.Is(err, bearer.ErrUnavailable)):
			t.Errorf("%q: user %q, %v", token, user, err)
		case err != nil && len(token) > 12 && strings.Contains(err.Error(), token):
			t.Errorf("the error quotes the token: %v", err)
		}
	})
}
