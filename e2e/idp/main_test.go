package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	var h http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) }))
	defer srv.Close()
	var err error
	if h, err = newProvider(srv.URL, "ann:s3same,boris:s4same"); err != nil {
		t.Fatal(err)
	}
	ask := func(want int, form url.Values) (token string) {
		t.Helper()
		resp, err := http.PostForm(srv.URL+"/token", form)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != want {
			t.Errorf("%v: %d %s %v, want %d", form, resp.StatusCode, b, err, want)
		}
		var a struct {
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal(b, &a); err != nil {
			t.Error(err)
		}
		return a.Token
	}
	login := url.Values{"grant_type": {"password"}, "client_id": {"end-users"}, "username": {"boris"},
		"password": {"s4same"}}
	token := ask(http.StatusOK, login)
	p, err := oidc.NewProvider(t.Context(), srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	good, err := p.Verifier(&oidc.Config{ClientID: "account"}).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Name   string `json:"preferred_username"`
		Client string `json:"azp"`
	}
	if err := good.Claims(&claims); err != nil || claims.Name != "boris" || claims.Client != "end-users" {
		t.Errorf("claims %+v, %v", claims, err)
	}
	login.Set("password", "s3same")
	ask(http.StatusUnauthorized, login)
	login.Set("username", "root")
	ask(http.StatusUnauthorized, login)
	login.Set("grant_type", "client_credentials")
	ask(http.StatusBadRequest, login)
	for _, users := range []string{"", "ann", "ann:", ":x"} {
		if _, err := newProvider(srv.URL, users); err == nil {
			t.Errorf("users %q are no error", users)
		}
	}
}
