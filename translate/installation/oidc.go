package installation

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// OIDC says whose tokens the APIs with auth.oidc take (OpenID Connect), and how the caller's name
// is found in one.
type OIDC struct {
	// Issuer is the provider's issuer URL, exactly as its tokens and its discovery document spell
	// it. A manifest may name another. Default: none, and manifests must name one.
	Issuer string `yaml:"issuer"`
	// ClientID is the client that a token must have been made for. A manifest may name another.
	// Default: none, and manifests must name one.
	ClientID string `yaml:"clientId"`
	// UserClaim is the claim with the user's name, at the top of the token. Default
	// preferred_username.
	UserClaim string `yaml:"userClaim"`
	// UserPrefix stands before that name in the user's identity. Default "oidc:". It holds a colon,
	// which no user name of HTTP Basic can have: so nobody is somebody else's namesake by accident.
	UserPrefix string `yaml:"userPrefix"`
	// SameAsBasic says on purpose that a user of Issuer and the user of HTTP Basic with the same
	// name are one person, with the same files and runs. Users of other issuers, the name anonymous
	// and names that no user of HTTP Basic can have stay apart. UserClaim must be written beside it:
	// whoever can change the own name there becomes who has that name. Default false.
	SameAsBasic bool `yaml:"sameAsBasic"`
}

var (
	// claim is the name of a claim: a word or, as some providers have it, a URL.
	claim = regexp.MustCompile(`^[A-Za-z0-9_.:/-]+$`)
	// prefix needs no escaping where an identity is shown; its length leaves room for the name.
	prefix = regexp.MustCompile(`^[A-Za-z0-9_./-]*:[A-Za-z0-9_./:-]*$`)
)

// maxClaim and maxPrefix bound userClaim and userPrefix, in bytes. (As {1,128} in the expression it
// would take longer to compile than all others together.)
const maxClaim, maxPrefix = 128, 64

func (o OIDC) validate(clusterDomain string) error {
	var errs []error
	if o.Issuer != "" {
		if err := CheckIssuer(o.Issuer, clusterDomain); err != nil {
			errs = append(errs, fmt.Errorf("oidc.issuer: %w", err))
		}
	}
	if o.ClientID != "" {
		if err := CheckClientID(o.ClientID); err != nil {
			errs = append(errs, fmt.Errorf("oidc.clientId: %w", err))
		}
	}
	if err := CheckClaim(o.UserClaim); err != nil {
		errs = append(errs, fmt.Errorf("oidc.userClaim: %w", err))
	}
	if o.SameAsBasic && o.Issuer == "" {
		errs = append(errs, errors.New("oidc.sameAsBasic: there is no oidc.issuer whose users they would be"))
	}
	if o.UserPrefix == "" {
		errs = append(errs, errors.New("oidc.userPrefix is empty: leave it out, and write oidc.sameAsBasic: true where "+
			"users of oidc.issuer and of HTTP Basic with one name are the same people"))
	} else if !prefix.MatchString(o.UserPrefix) || len(o.UserPrefix) > maxPrefix {
		errs = append(errs, fmt.Errorf(
			"oidc.userPrefix: %q is not at most %d of letters, digits and _./:- with a colon among them, which keeps its users apart from those of HTTP Basic", o.UserPrefix, maxPrefix))
	}
	return errors.Join(errs...)
}

// CheckIssuer reports an error for an issuer that no gateway should believe: what is not an https
// URL without a query, and http anywhere but in the cluster (a host that ends in .svc, or in .svc
// and the cluster's domain), for whoever can change the answers on the way could make tokens for
// everybody.
func CheckIssuer(issuer, clusterDomain string) error {
	u, err := url.Parse(issuer)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#") {
		return fmt.Errorf("%q is not a URL of the form https://host/path", issuer)
	}
	if host := u.Hostname(); u.Scheme == "http" && !strings.HasSuffix(host, ".svc") &&
		!strings.HasSuffix(host, ".svc."+clusterDomain) {
		return fmt.Errorf("%q: write https; http is for hosts in the cluster only, that end in .svc or .svc.%s", issuer,
			clusterDomain)
	}
	return nil
}

// CheckClaim reports an error for what cannot be the name of a claim.
func CheckClaim(name string) error {
	if !claim.MatchString(name) || len(name) > maxClaim {
		return fmt.Errorf("%q is not the name of a claim", name)
	}
	return nil
}

// checkSame wants the claim by which users of an issuer become users of HTTP Basic to be named in the
// file itself: the usual one is changed by its users in some realms, and then anybody could become
// anybody.
func checkSame(file []byte, o OIDC) error {
	var named struct {
		OIDC struct {
			UserClaim *string `yaml:"userClaim"`
		} `yaml:"oidc"`
	}
	if err := yaml.Unmarshal(file, &named); err != nil {
		return err
	}
	if o.SameAsBasic && named.OIDC.UserClaim == nil {
		return fmt.Errorf("oidc.sameAsBasic: users can change %s in many realms, and whoever does becomes another "+
			"user; write oidc.userClaim beside it, a claim that nobody can change there, be it userClaim: %[1]s",
			o.UserClaim)
	}
	return nil
}

// CheckClientID reports an error for what cannot be a client's id.
func CheckClientID(id string) error {
	if id == "" || len(id) > 255 || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("%q is not the id of a client: 1 to 255 printable ASCII characters", id)
	}
	return nil
}
