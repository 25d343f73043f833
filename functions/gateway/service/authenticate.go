package service

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/eventing/users"
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

var (
	// errNothing: the caller sends nothing that one of the APIs takes.
	errNothing = errors.New("no credentials")
	// errPassword: user and password are those of no API.
	errPassword = errors.New("user name or password is wrong")
)

// admit finds out who calls, "" on an open API, and the first of the APIs that lets the caller in.
// When it answers the call itself (401, 403, 429, 503), ok is false.
//
// Users of Basic and users of tokens are different people, for the prefix of the latter
// (routes.OIDC.UserPrefix) has a colon, and in HTTP Basic a user's name ends at the first one (RFC
// 7617); unless the installation says that they are the same (SameAsBasic).
func (g *Gateway) admit(w http.ResponseWriter, r *http.Request, apis ...routes.API) (api routes.API, user string,
	ok bool) {
	if i := slices.IndexFunc(apis, func(a routes.API) bool { return a.Auth == nil }); i >= 0 {
		apis = apis[:i+1] // nobody comes to those behind it
	}
	if g.as != "" && r.Header.Get("Authorization") == "" && apis[0].Auth != nil {
		return apis[0], g.as, true
	}
	var err error
	if token, given := bearerToken(r); given {
		api, user, err = g.byToken(r, apis, token)
	} else {
		api, user, err = g.byPassword(r, apis)
	}
	last := apis[len(apis)-1]
	switch {
	case err == nil:
		return api, user, true
	case last.Auth == nil:
		return last, "", true
	}
	g.refuse(w, r, apis, err)
	return routes.API{}, "", false
}

// bearerToken is the token that a call brings, and whether it brings one.
func bearerToken(r *http.Request) (token string, given bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.Trim(token, " "), strings.EqualFold(scheme, "Bearer")
}

// identity is the whole identity of a user whom an API has admitted: who it is, and by what that was
// proved. Of callers of an open API it is "", whatever they bring along.
func identity(r *http.Request, api routes.API, user string) string {
	_, byToken := bearerToken(r)
	switch {
	case api.Auth == nil:
		return ""
	case byToken:
		return users.TokenIdentity(api.Auth.OIDC.UserPrefix, user)
	}
	return users.BasicIdentity(api.Auth.Basic.Credentials, user)
}

// byPassword is one attempt to log in, whatever number of Secrets it is looked up in.
func (g *Gateway) byPassword(r *http.Request, apis []routes.API) (api routes.API, user string, err error) {
	apis = slices.DeleteFunc(slices.Clone(apis),
		func(a routes.API) bool { return a.Auth == nil || a.Auth.Basic == nil })
	user, password, given := r.BasicAuth()
	if !given || len(apis) == 0 {
		return api, "", errNothing
	}
	counted := user
	if !basic.Possible(user) {
		counted = impossible
	}
	login := g.users.Login(apis[0].Auth.Basic.Credentials, user, password)
	ok, err := g.attempts.Check(r.Context(), g.hops.Caller(r), counted, login, func() (bool, error) {
		for _, api = range apis {
			if ok, err := g.users.Check(r.Context(), api.Auth.Basic.Credentials, user, password); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	})
	switch {
	case r.Context().Err() != nil && err != nil: // the caller has gone while its turn had not come
		panic(http.ErrAbortHandler)
	case err == nil && !ok:
		err = errPassword
	}
	return api, user, err
}

// byToken looks at a token by the rules of each API. Of what is wrong with it, that an API does not
// name the user says most.
func (g *Gateway) byToken(r *http.Request, apis []routes.API, token string) (api routes.API, user string, err error) {
	err = errNothing
	for _, api := range apis {
		if api.Auth == nil || api.Auth.OIDC == nil {
			continue
		}
		user, wrong := g.tokens.Check(r.Context(), *api.Auth.OIDC, token, g.now())
		switch {
		case wrong == nil:
			return api, user, nil
		case r.Context().Err() != nil:
			panic(http.ErrAbortHandler) // nobody is there to read an answer
		case errors.Is(wrong, bearer.ErrNotNamed):
			slog.Info("caller not named", "api", api.Name, "user", user)
			err = wrong
		case errors.Is(err, errNothing):
			slog.Info("token not taken", "api", api.Name, "error", wrong)
			err = wrong
		}
	}
	return api, "", err
}

// refuse answers for callers whom none of the APIs admits.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, apis []routes.API, err error) {
	var tooMany *attempts.BusyError
	var refused *bearer.RefusedError
	ways := waysOf(apis)
	switch {
	case errors.As(err, &tooMany):
		w.Header().Set("Retry-After", strconv.Itoa(int(tooMany.After.Seconds())))
		problem.Answer(w, r, problem.TooManyAttempts, http.StatusTooManyRequests, "Too many attempts to log in",
			"there were wrong passwords from this address or of this user, and too many attempts wait; "+
				"this one was not looked at")
	case errors.Is(err, basic.ErrBusy):
		w.Header().Set("Retry-After", passwordRetry)
		problem.Answer(w, r, problem.Unavailable, http.StatusServiceUnavailable, "Passwords cannot be looked at now",
			err.Error())
	case errors.Is(err, bearer.ErrNotNamed):
		problem.Answer(w, r, problem.NotAllowed, http.StatusForbidden, "This caller may not call",
			"the API names the users and groups that may call it, and this caller is none of them")
	case errors.As(err, &refused):
		g.unauthorized(w, r, ways, refused.Reason,
			fmt.Sprintf(`, error="invalid_token", error_description="%s"`, refused.Reason))
	case errors.Is(err, errPassword):
		g.unauthorized(w, r, ways, errPassword.Error(), "")
	case errors.Is(err, errNothing):
		g.unauthorized(w, r, ways, ways.wanted(), "")
	default:
		slog.Error("tokens cannot be checked", "error", err)
		w.Header().Set("Retry-After", issuerRetry)
		problem.Answer(w, r, "issuer-unavailable", http.StatusServiceUnavailable, "Tokens cannot be checked now",
			"the OpenID Connect issuer does not answer")
	}
}

// ways to log in.
type ways struct{ basic, bearer bool }

// waysOf are those of any of the APIs.
func waysOf(apis []routes.API) (w ways) {
	for _, a := range apis {
		if a.Auth != nil {
			w.basic, w.bearer = w.basic || a.Auth.Basic != nil, w.bearer || a.Auth.OIDC != nil
		}
	}
	return w
}

// wanted says how callers log in.
func (w ways) wanted() string {
	switch {
	case !w.bearer:
		return "the API wants a user name and a password (HTTP Basic)"
	case !w.basic:
		return "the API wants a token of its OpenID Connect issuer (HTTP Bearer)"
	}
	return "the API wants a user name and a password (HTTP Basic), or a token of its OpenID Connect issuer (HTTP Bearer)"
}

// unauthorized answers 401 with a challenge for each way to log in (RFC 7617, RFC 6750); invalid is
// what that of Bearer says of a token that was given.
func (g *Gateway) unauthorized(w http.ResponseWriter, r *http.Request, all ways, detail, invalid string) {
	if all.basic {
		w.Header().Add("Www-Authenticate", fmt.Sprintf("Basic realm=%q, charset=\"UTF-8\"", g.namespace))
	}
	if all.bearer {
		w.Header().Add("Www-Authenticate", fmt.Sprintf("Bearer realm=%q%s", g.namespace, invalid))
	}
	problem.Answer(w, r, problem.Unauthorized, http.StatusUnauthorized, "", detail)
}
