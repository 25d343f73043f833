// Command idp is the OpenID Connect provider of the e2e tests: discovery, keys, and access tokens
// by the password grant, in the form in which the platform's clients get theirs from Keycloak. Its
// users stand on its command line and its key lives as long as its process; it is a provider for
// nothing else.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
)

const (
	keyID    = "e2e"
	life     = 5 * time.Minute // of a token
	maxForm  = 16 << 10
	maxDelay = 10 * time.Second // of a request's headers
)

func main() {
	issuer := flag.String("issuer", "", "the issuer's URL, without a path")
	users := flag.String("users", "", "name:password,…")
	flag.Parse()
	h, err := newProvider(*issuer, *users)
	if err != nil {
		log.Fatal("idp: ", err)
	}
	// PORT is Knative's contract
	s := &http.Server{Addr: ":" + os.Getenv("PORT"), Handler: h, ReadHeaderTimeout: maxDelay}
	log.Fatal("idp: ", s.ListenAndServe())
}

// provider signs tokens for its users.
type provider struct {
	issuer string
	users  map[string]string // passwords by name
	key    *rsa.PrivateKey
}

func newProvider(issuer, users string) (http.Handler, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	p := &provider{issuer: issuer, users: map[string]string{}, key: key}
	for u := range strings.SplitSeq(users, ",") {
		name, password, ok := strings.Cut(u, ":")
		if !ok || name == "" || password == "" || issuer == "" {
			return nil, errors.New("wanted: -issuer URL -users name:password,…")
		}
		p.users[name] = password
	}
	public := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: keyID,
		Algorithm: "RS256"}}}
	public.SetIssuer(issuer)
	mux := http.NewServeMux()
	mux.Handle("/", public)
	mux.HandleFunc("POST /token", p.token)
	return mux, nil
}

// token is the token endpoint for public clients (RFC 6749, 4.3): any client_id is one.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	name, client := r.PostFormValue("username"), r.PostFormValue("client_id")
	password, known := p.users[name]
	switch {
	case r.PostFormValue("grant_type") != "password" || client == "":
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
		return
	case !known || subtle.ConstantTimeCompare([]byte(password), []byte(r.PostFormValue("password"))) != 1:
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_grant"})
		return
	}
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": p.issuer, "aud": "account", "azp": client, "typ": "Bearer", "sub": fmt.Sprintf("%x", name),
		"preferred_username": name, "iat": now.Unix(), "exp": now.Add(life).Unix(),
	})
	if err != nil {
		answer(w, http.StatusInternalServerError, map[string]any{"error": "server_error"})
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"access_token": oidctest.SignIDToken(p.key, keyID, "RS256", string(claims)), "token_type": "Bearer",
		"expires_in": int(life.Seconds()),
	})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
