package service

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/internal/attempts"
	"github.com/unip-knative/unip/functions/gateway/internal/basic"
	"github.com/unip-knative/unip/functions/gateway/internal/bearer"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// issuerRetry, in seconds, is what a caller is asked to wait when a token cannot be checked.
const issuerRetry = "5"

// impossible stands for all names that nobody can have; it is one itself.
const impossible = "\x00"

// passwordRetry is the same when too many passwords wait.
const passwordRetry = "2"

// authenticate finds out who calls, "" on an open API. When it answers the call itself (401, 503),
// ok is false.
//
// Users of Basic and users of tokens are different people, for the prefix of the latter
// (routes.OIDC.UserPrefix) has a colon, and in HTTP Basic a user's name ends at the first one (RFC
// 7617).
func (g *Gateway) authenticate(w http.ResponseWriter, r *http.Request, api routes.API) (user string, ok bool) {
	if api.Auth == nil {
		return "", true
	}
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case api.Auth.OIDC != nil && strings.EqualFold(scheme, "Bearer"):
		return g.token(w, r, api, strings.Trim(credentials, " "))
	case api.Auth.Basic != nil:
		return g.password(w, r, api)
	}
	g.unauthorized(w, r, api, wanted(api), "")
	return "", false
}

// wanted says how an API's callers log in.
func wanted(api routes.API) string {
	switch {
	case api.Auth.OIDC == nil:
		return "the API wants a user name and a password (HTTP Basic)"
	case api.Auth.Basic == nil:
		return "the API wants a token of its OpenID Connect issuer (HTTP Bearer)"
	}
	return "the API wants a user name and a password (HTTP Basic), or a token of its OpenID Connect issuer (HTTP Bearer)"
}

func (g *Gateway) password(w http.ResponseWriter, r *http.Request, api routes.API) (user string, ok bool) {
	user, password, given := r.BasicAuth()
	if !given {
		g.unauthorized(w, r, api, wanted(api), "")
		return "", false
	}
	secret, counted := api.Auth.Basic.Credentials, user
	if !basic.Possible(user) {
		counted = impossible
	}
	ok, err := g.attempts.Check(r.Context(), g.hops.Caller(r), counted, g.users.Login(secret, user, password),
		func() (bool, error) {
			return g.users.Check(r.Context(), secret, user, password)
		})
	var tooMany *attempts.BusyError
	switch {
	case err == nil:
	case r.Context().Err() != nil: // the caller has gone while its turn had not come
		panic(http.ErrAbortHandler)
	case errors.As(err, &tooMany):
		w.Header().Set("Retry-After", strconv.Itoa(int(tooMany.After.Seconds())))
		problem.Answer(w, r, problem.TooManyAttempts, http.StatusTooManyRequests, "Too many attempts to log in",
			"there were wrong passwords from this address or of this user, and too many attempts wait; "+
				"this one was not looked at")
		return "", false
	default: // basic.ErrBusy
		w.Header().Set("Retry-After", passwordRetry)
		problem.Answer(w, r, problem.Unavailable, http.StatusServiceUnavailable, "Passwords cannot be looked at now",
			err.Error())
		return "", false
	}
	if !ok {
		g.unauthorized(w, r, api, "user name or password is wrong", "")
		return "", false
	}
	return user, true
}

func (g *Gateway) token(w http.ResponseWriter, r *http.Request, api routes.API, token string) (user string, ok bool) {
	user, err := g.tokens.Check(r.Context(), *api.Auth.OIDC, token, g.now())
	var refused *bearer.RefusedError
	switch {
	case err == nil:
		return user, true
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // nobody is there to read an answer
	case errors.As(err, &refused):
		slog.Info("token refused", "api", api.Name, "reason", refused.Reason)
		g.unauthorized(w, r, api, refused.Reason,
			fmt.Sprintf(`, error="invalid_token", error_description="%s"`, refused.Reason))
	default:
		slog.Error("tokens cannot be checked", "issuer", api.Auth.OIDC.Issuer, "error", err)
		w.Header().Set("Retry-After", issuerRetry)
		problem.Answer(w, r, "issuer-unavailable", http.StatusServiceUnavailable, "Tokens cannot be checked now",
			"the OpenID Connect issuer does not answer")
	}
	return "", false
}

// unauthorized answers 401 with a challenge for each way to log in (RFC 7617, RFC 6750); invalid is
// what that of Bearer says of a token that was given.
func (g *Gateway) unauthorized(w http.ResponseWriter, r *http.Request, api routes.API, detail, invalid string) {
	if api.Auth.Basic != nil {
		w.Header().Add("Www-Authenticate", fmt.Sprintf("Basic realm=%q, charset=\"UTF-8\"", g.namespace))
	}
	if api.Auth.OIDC != nil {
		w.Header().Add("Www-Authenticate", fmt.Sprintf("Bearer realm=%q%s", g.namespace, invalid))
	}
	problem.Answer(w, r, problem.Unauthorized, http.StatusUnauthorized, "", detail)
}
