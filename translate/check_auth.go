package translate

import (
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
)

// apiAuth checks who may call an API.
func (c *checker) apiAuth(a *manifest.APIComponent) {
	auth := a.Spec.RestfulAPI.Auth
	if auth == nil || (!auth.Has("basic") && !auth.Has("oidc")) {
		c.found.Notef(a.Spec.RestfulAPI.Position, "APIComponent %s has no auth: everybody may call it", a.Meta.Name.Value)
		return
	}
	if auth.Has("basic") {
		c.basic(auth)
	}
	if auth.Has("oidc") {
		c.oidc(auth)
	}
}

func (c *checker) basic(auth *manifest.Auth) {
	if auth.Basic == nil || auth.Basic.Credentials.Value == "" {
		c.found.Errorf(auth.Field("basic"), "spec.restfulApi.auth.basic.credentials is missing: the name of a Secret with one key per user")
		return
	}
	switch name := auth.Basic.Credentials; {
	case names.Managed(name.Value):
		c.found.Errorf(name.At, "spec.restfulApi.auth.basic.credentials: %s is unip's own", name.Value)
	case len(validation.IsDNS1123Subdomain(name.Value)) > 0:
		c.found.Errorf(name.At, "spec.restfulApi.auth.basic.credentials: %q is not the name of a Secret", name.Value)
	case c.secrets[name.Value] == nil:
		c.found.Notef(name.At, "Secret %s is not among the manifests: it must exist in namespace %s", name.Value, c.namespace)
	}
}

// oidc checks the issuer and the client of an API, be they the manifest's or the installation's. The identity of a token's user does not hold its issuer, so that a module has one issuer only: two would let
// different people of one name see each other's files.
func (c *checker) oidc(auth *manifest.Auth) {
	if auth.OIDC == nil { // "oidc:" with nothing behind it: all from the installation
		auth.OIDC = &manifest.OIDC{At: manifest.At{Position: auth.Key("oidc")}}
	}
	o, at := auth.OIDC, auth.Key("oidc")
	if o.Has("issuer") {
		at = o.Issuer.At
		if err := installation.CheckIssuer(o.Issuer.Value, c.config.ClusterDomain); err != nil {
			c.found.Errorf(at, "spec.restfulApi.auth.oidc.issuer: %v", err)
			return
		}
	}
	if o.Has("clientId") {
		if err := installation.CheckClientID(o.ClientID.Value); err != nil {
			c.found.Errorf(o.ClientID.At, "spec.restfulApi.auth.oidc.clientId: %v", err)
		}
	}
	r := c.tokens(o)
	if r.Issuer == "" {
		c.found.Errorf(auth.Key("oidc"), "spec.restfulApi.auth.oidc has no issuer: write issuer: https://… here, or oidc.issuer into the installation's unip.yaml (--config)")
	}
	if r.ClientID == "" && !o.Has("clientId") {
		c.found.Errorf(auth.Key("oidc"), "spec.restfulApi.auth.oidc has no clientId, the client whose tokens may call: write clientId here, or oidc.clientId into the installation's unip.yaml (--config)")
	}
	if r.Issuer == "" {
		return
	}
	if c.issuer == "" {
		c.issuer, c.issuerAt = r.Issuer, at
	}
	if r.Issuer != c.issuer {
		c.found.Errorf(at, "spec.restfulApi.auth.oidc: the issuer %s differs from %s at %s; users of two issuers could share a name, so a module has one", r.Issuer, c.issuer, c.issuerAt)
	}
}

// tokens are the rules for the tokens of an API. The manifest's words win over the installation's.
func (c *checker) tokens(o *manifest.OIDC) routes.OIDC {
	all := c.config.OIDC
	r := routes.OIDC{Issuer: all.Issuer, ClientID: all.ClientID, UserClaim: all.UserClaim, UserPrefix: all.UserPrefix}
	if o.Has("issuer") {
		r.Issuer = o.Issuer.Value
	}
	if o.Has("clientId") {
		r.ClientID = o.ClientID.Value
	}
	return r
}

// routeAuth is what the gateway is told of an API whose auth is in order; nil lets everybody in.
func (c *checker) routeAuth(auth *manifest.Auth) *routes.Auth {
	if auth == nil || (auth.Basic == nil && auth.OIDC == nil) {
		return nil
	}
	r := &routes.Auth{}
	if auth.Basic != nil {
		r.Basic = &routes.Basic{Credentials: auth.Basic.Credentials.Value}
	}
	if auth.OIDC != nil {
		tokens := c.tokens(auth.OIDC)
		r.OIDC = &tokens
	}
	return r
}

// passThrough finds identityPassThrough at any of the places where manifests have it.
func passThrough(r *manifest.RestfulAPI) bool {
	places := []*bool{r.IdentityPassThrough}
	if a := r.Auth; a != nil {
		places = append(places, a.IdentityPassThrough)
		if a.Basic != nil {
			places = append(places, a.Basic.IdentityPassThrough)
		}
		if a.OIDC != nil {
			places = append(places, a.OIDC.IdentityPassThrough)
		}
	}
	for _, p := range places {
		if p != nil {
			return *p
		}
	}
	return false
}
