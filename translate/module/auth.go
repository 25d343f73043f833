package module

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/eventing/users"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
)

// issuer is that of a module. The identity of a token's user does not hold its issuer, so that a
// module has one only: two would let different people of one name see each other's files.
type issuer struct {
	url   string            // of the first API with auth.oidc
	at    manifest.Position // where it stands
	noted bool              // that its users are those of HTTP Basic
}

// decideAuth is who may call an API; nil lets everybody in.
func (i *issuer) decideAuth(s *scope, api string, r *manifest.RestfulAPI) *routes.Auth {
	auth := r.Auth
	if auth == nil || (!auth.Has("basic") && !auth.Has("oidc")) {
		s.Notef(r.Position, "APIComponent %s has no auth: everybody may call it", api)
		return nil
	}
	out := &routes.Auth{}
	if auth.Has("basic") {
		out.Basic = basic(s, auth)
	}
	if auth.Has("oidc") {
		out.OIDC = i.oidc(s, auth)
	}
	return out
}

func basic(s *scope, auth *manifest.Auth) *routes.Basic {
	if auth.Basic == nil || auth.Basic.Credentials.Value == "" {
		s.Errorf(auth.Field("basic"),
			"spec.restfulApi.auth.basic.credentials is missing: the name of a Secret with one key per user")
		return nil
	}
	name := auth.Basic.Credentials
	switch {
	case names.Managed(name.Value):
		s.Errorf(name.At, "spec.restfulApi.auth.basic.credentials: %s is unip's own", name.Value)
	case len(validation.IsDNS1123Subdomain(name.Value)) > 0:
		s.Errorf(name.At, "spec.restfulApi.auth.basic.credentials: %q is not the name of a Secret", name.Value)
	default:
		s.noteMissing("Secret", name)
	}
	return &routes.Basic{Credentials: name.Value}
}

// oidc are the rules for the tokens of an API. The manifest's words win over the installation's;
// "oidc:" with nothing behind it takes all from there.
func (i *issuer) oidc(s *scope, auth *manifest.Auth) *routes.OIDC {
	const where = "spec.restfulApi.auth.oidc"
	all, at := s.config.OIDC, auth.Key("oidc")
	out := &routes.OIDC{Issuer: all.Issuer, ClientID: all.ClientID, UserClaim: all.UserClaim,
		UserPrefix: all.UserPrefix}
	x := auth.OIDC
	if x == nil {
		x = &manifest.OIDC{}
	}
	if x.Has("issuer") {
		out.Issuer, at = x.Issuer.Value, x.Issuer.At
		if err := installation.CheckIssuer(out.Issuer, s.config.ClusterDomain); err != nil {
			s.Errorf(at, "%s.issuer: %v", where, err)
			return out
		}
	}
	if x.Has("clientId") {
		out.ClientID = x.ClientID.Value
		if err := installation.CheckClientID(out.ClientID); err != nil {
			s.Errorf(x.ClientID.At, "%s.clientId: %v", where, err)
		}
	} else if out.ClientID == "" {
		s.Errorf(auth.Key("oidc"), "%s has no clientId, the client whose tokens may call: write clientId here, "+
			"or oidc.clientId into the installation's unip.yaml (--config)", where)
	}
	if out.Issuer == "" {
		s.Errorf(auth.Key("oidc"), "%s has no issuer: write issuer: https://… here, "+
			"or oidc.issuer into the installation's unip.yaml (--config)", where)
		return out
	}
	out.SameAsBasic = all.SameAsBasic && out.Issuer == all.Issuer
	if out.SameAsBasic && !i.noted {
		i.noted = true
		s.Notef(auth.Key("oidc"), "users of %s and users of HTTP Basic with the same names are the same people, "+
			"with the same files and runs: the installation has oidc.sameAsBasic", out.Issuer)
	}
	decideNamed(s, x, out)
	if i.url == "" {
		i.url, i.at = out.Issuer, at
	}
	if out.Issuer != i.url {
		s.Errorf(at,
			"%s: the issuer %s differs from %s at %s; users of two issuers could share a name, so a module has one",
			where, out.Issuer, i.url, i.at)
	}
	return out
}

// maxNamed bounds the users and the groups of an API: the gateway's ConfigMap holds 1 MiB.
const maxNamed = 1000

// decideNamed decides who of those with a good token may call.
func decideNamed(s *scope, x *manifest.OIDC, out *routes.OIDC) {
	out.Users = namedBy(s, x, "users", x.Users, func(u string) error {
		if !users.Possible(u) || u == out.UserPrefix {
			return errors.New("nobody can have this name")
		}
		name := strings.TrimPrefix(u, out.UserPrefix)
		if out.Identity(u) != u && (name == u || out.Identity(name) != u) {
			return fmt.Errorf("no token has this identity; that of the user %s is %s", name, out.Identity(name))
		}
		return nil
	})
	out.Groups = namedBy(s, x, "groups", x.Groups, func(g string) error {
		if g == "" || len(g) > users.MaxName || strings.ContainsFunc(g, unicode.IsControl) || !utf8.ValidString(g) ||
			strings.ContainsRune(g, utf8.RuneError) {
			return errors.New("no group has this name")
		}
		return nil
	})
	const where = "spec.restfulApi.auth.oidc.groupsClaim"
	switch {
	case x.Has("groupsClaim") && !x.Has("groups"):
		s.Errorf(x.Key("groupsClaim"), "%s: there are no groups: name them beside it", where)
	case x.Has("groupsClaim"):
		if err := installation.CheckClaim(x.GroupsClaim.Value); err != nil {
			s.Errorf(x.GroupsClaim.At, "%s: %v", where, err)
		}
		out.GroupsClaim = x.GroupsClaim.Value
	case x.Has("groups"):
		out.GroupsClaim = usualGroups
	}
}

// usualGroups is the claim that most providers have the groups in.
const usualGroups = "groups"

// namedBy is one list of those who may call. An empty one would let nobody in, or, where somebody
// takes it for none, everybody.
func namedBy(s *scope, x *manifest.OIDC, field string, all []manifest.Text, check func(string) error) (out []string) {
	where := "spec.restfulApi.auth.oidc." + field
	switch {
	case !x.Has(field):
		return nil
	case len(all) == 0:
		s.Errorf(x.Key(field), "%s: nobody is named: leave it out to let in all who have a token, or take the API out "+
			"with published: false", where)
	case len(all) > maxNamed:
		s.Errorf(x.Key(field), "%s: %d are more than %d; a group of the issuer may stand for many", where, len(all), maxNamed)
	}
	for i, v := range all {
		err := check(v.Value)
		if slices.Contains(out, v.Value) {
			err = errors.New("it is there twice")
		}
		if err != nil {
			s.Errorf(v.At, "%s[%d]: %q: %v", where, i, v.Value, err)
		}
		out = append(out, v.Value)
	}
	return out
}

// passedOn is one place at which an API says whether its callers are told inwards.
type passedOn struct {
	at    manifest.Position
	value bool
}

// passThroughs finds identityPassThrough at all of the places where manifests have it.
func passThroughs(r *manifest.RestfulAPI) []passedOn {
	if r == nil {
		return nil
	}
	var all []passedOn
	add := func(at manifest.At, v *bool) {
		if v != nil {
			all = append(all, passedOn{at.Key("identityPassThrough"), *v})
		}
	}
	add(r.At, r.IdentityPassThrough)
	if a := r.Auth; a != nil {
		add(a.At, a.IdentityPassThrough)
		if a.Basic != nil {
			add(a.Basic.At, a.Basic.IdentityPassThrough)
		}
		if a.OIDC != nil {
			add(a.OIDC.At, a.OIDC.IdentityPassThrough)
		}
	}
	return all
}

// decidePassThrough decides whether the function, or the stages, may know who calls.
func decidePassThrough(s *scope, api, kind string, r *manifest.RestfulAPI, auth *routes.Auth) bool {
	all := passThroughs(r)
	for _, p := range all {
		if p.value != all[0].value {
			s.Errorf(p.at, "APIComponent %s: identityPassThrough is %t here and %t at %s: write it once", api, p.value,
				all[0].value, all[0].at)
			return false
		}
	}
	switch {
	case len(all) == 0:
		return false
	case kind == routes.KindFiles, kind == routes.KindPipelines:
		s.Notef(all[0].at, "APIComponent %s: identityPassThrough has no effect for %s: "+
			"files and runs are each caller's own in any case", api, kind)
		return false
	case all[0].value && auth == nil:
		s.Notef(all[0].at, "APIComponent %s: identityPassThrough passes nobody on: "+
			"without auth nobody knows who calls", api)
		return false
	}
	return all[0].value
}

// uploadersKnown decides whether the stages of runs that uploads start may know whose file it was:
// the pipeline has APIs of its own, and all of them pass that on.
func uploadersKnown(read *manifest.Module, pipeline string) bool {
	known := false
	for _, a := range read.APIs {
		if r := a.Spec.ExperimentPipeline; r == nil || r.Name.Value != pipeline {
			continue
		}
		all := passThroughs(a.Spec.RestfulAPI)
		if len(all) == 0 || slices.ContainsFunc(all, func(p passedOn) bool { return !p.value }) {
			return false
		}
		known = true
	}
	return known
}
