package routes

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/users"
)

var (
	// A path's segment needs no escaping in a URL, so the bytes on the wire can be compared with
	// it.
	segment   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,62}$`)
	dnsLabel  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
	claim     = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,128}$`)
	// origin is one site as the header Origin names it; browsers leave the scheme's own port out.
	origin = regexp.MustCompile(`^https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$`)
)

// Validate checks all APIs of the file. All mistakes are in the error.
func (f File) Validate() error {
	var errs []error
	names := map[string]string{} // of APIs, by path
	for _, a := range f.APIs {
		if err := a.validate(); err != nil {
			errs = append(errs, fmt.Errorf("routes: API %q: %w", a.Name, err))
		}
		if other, double := names[a.Path]; double {
			errs = append(errs, fmt.Errorf("routes: APIs %q and %q have the same path %q", other, a.Name, a.Path))
		}
		names[a.Path] = a.Name
	}
	for box, all := range f.Developers {
		if !slices.Contains(f.Boxes, box) || slices.Contains(f.Datasets, box) {
			errs = append(errs, fmt.Errorf("routes: developers of %q, which is no storage box", box))
		}
		for _, identity := range all {
			if err := users.CheckDeveloper(identity); err != nil {
				errs = append(errs, fmt.Errorf("routes: developers of box %q: %w", box, err))
			}
		}
	}
	if f.Site != "" {
		if err := CheckOrigin(f.Site); err != nil {
			errs = append(errs, fmt.Errorf("routes: site: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (a API) validate() error {
	var errs []error
	if a.Name == "" {
		errs = append(errs, errors.New("no name"))
	}
	switch a.Kind {
	case KindMLComponent:
		if a.TimeoutSeconds < 1 || a.Timeout() > MaxTimeout {
			errs = append(errs, fmt.Errorf("timeoutSeconds %d is not within 1 to %d", a.TimeoutSeconds,
				int(MaxTimeout.Seconds())))
		}
	case KindFiles:
		if a.Path != FilesPath {
			errs = append(errs, fmt.Errorf("path %q: files are at %q", a.Path, FilesPath))
		}
	case KindPipeline, KindPipelines:
	default:
		errs = append(errs, fmt.Errorf("unknown kind %q", a.Kind))
	}
	if (a.Kind == KindMLComponent || a.Kind == KindPipeline) && !dnsLabel.MatchString(a.Target) {
		errs = append(errs, fmt.Errorf("target %q is not the name of a Service or Pipeline", a.Target))
	}
	for s := range strings.SplitSeq(a.Path, "/") {
		if !segment.MatchString(s) {
			errs = append(errs, fmt.Errorf(
				"path %q: a segment is 1 to 63 of letters, digits and ._~-, and begins with a letter or digit", a.Path))
			break
		}
	}
	if a.Auth != nil {
		errs = append(errs, a.Auth.validate())
	}
	for _, o := range a.TrustedOrigins {
		if err := CheckOrigin(o); err != nil {
			errs = append(errs, fmt.Errorf("trustedOrigins: %w", err))
		}
	}
	return errors.Join(append(errs, checkLabels(a.Labels))...)
}

// checkLabels refuses labels that no manifest could have brought: with one of them a run would pass for
// something that it is not.
func checkLabels(all map[string]string) error {
	_, err := label.Carried(all)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if label.IsOwn(key) {
			err = errors.Join(err, fmt.Errorf("labels: %s: unip sets it itself", key))
		}
	}
	return err
}

// CheckOrigin refuses what is not one site, as browsers name it.
func CheckOrigin(s string) error {
	if !origin.MatchString(s) {
		return fmt.Errorf("%q is not an origin such as https://app.example.org or http://localhost:3000: a scheme, "+
			"a host in small letters, and a port where it is not the usual one", s)
	}
	return nil
}

func (a Auth) validate() error {
	if a.Basic == nil && a.OIDC == nil {
		return errors.New("auth names no way to log in")
	}
	if a.Basic != nil && !subdomain.MatchString(a.Basic.Credentials) {
		return fmt.Errorf("credentials %q is not the name of a Secret", a.Basic.Credentials)
	}
	if a.OIDC == nil {
		return nil
	}
	return a.OIDC.validate()
}

func (o OIDC) validate() error {
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "":
		return fmt.Errorf("issuer %q is not a URL", o.Issuer)
	case o.ClientID == "":
		return errors.New("no clientId: the tokens of every client would be good")
	case !claim.MatchString(o.UserClaim):
		return fmt.Errorf("userClaim %q is not the name of a claim", o.UserClaim)
	case !strings.Contains(o.UserPrefix, ":"):
		return fmt.Errorf("userPrefix %q has no colon: users of HTTP Basic could have the same names", o.UserPrefix)
	case o.Users != nil && len(o.Users) == 0, o.Groups != nil && len(o.Groups) == 0:
		return errors.New("users and groups name somebody, or are not there")
	case slices.ContainsFunc(o.Users, func(u string) bool { return !users.Possible(u) }):
		return errors.New("users: nobody can have one of the names")
	case slices.Contains(o.Groups, ""):
		return errors.New("groups: one has no name")
	case len(o.Groups) > 0 && !claim.MatchString(o.GroupsClaim):
		return fmt.Errorf("groupsClaim %q is not the name of a claim", o.GroupsClaim)
	}
	return nil
}
