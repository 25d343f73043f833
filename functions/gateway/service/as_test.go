package service

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/internal/caller"
)

// On one machine a call without credentials may be somebody's. Wrong ones stay wrong, and an open API
// has no user.
func TestCallsWithoutCredentialsAreSomebodys(t *testing.T) {
	t.Parallel()
	var user string
	m := start(t, func(w http.ResponseWriter, r *http.Request) {
		audience, _, _ := strings.Cut(r.Host, ".")
		c, err := caller.Verify(key, r.Header.Get(caller.Header), "POST", "/predict", audience, time.Now())
		if err != nil {
			t.Error(err)
		}
		user = c.User
	})
	m.gateway.as = "bob"
	for _, x := range []struct {
		path, credentials, user string
		status                  int
	}{
		{"/pu-ann/leaf/predict", "", "bob", http.StatusOK},
		{"/pu-ann/leaf/predict", "ann:secret", "ann", http.StatusOK},
		{"/pu-ann/leaf/predict", "bob:guess", "", http.StatusUnauthorized},
		{"/pu-ann/open/predict", "", "", http.StatusOK},
	} {
		user = ""
		var header []string
		if x.credentials != "" {
			header = []string{"user", x.credentials}
		}
		resp, _ := m.call(t, http.MethodPost, x.path, strings.NewReader("{}"), header...)
		if resp.StatusCode != x.status || user != x.user {
			t.Errorf("%s as %q: status %d, user %q; want %d, %q", x.path, x.credentials, resp.StatusCode, user, x.status,
				x.user)
		}
	}
	resp, body := m.call(t, http.MethodPost, "/pu-ann/leaf/predict", strings.NewReader("{}"),
		"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
	wantProblem(t, resp, body, http.StatusForbidden, "cross-origin")
}
