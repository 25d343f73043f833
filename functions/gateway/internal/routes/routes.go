// Package routes is the gateway's routes.json: which APIs a module publishes, and which of them a call is for.
//
// The file is written by the translator and never by hand, so reading it is strict: an unknown field, a double path or an impossible name is
// an error that keeps the gateway from starting, rather than an API that is open by mistake.
package routes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/unip-knative/unip/functions/gateway/internal/bearer"
	"github.com/unip-knative/unip/functions/gateway/internal/runs"
)

// MaxFile is the largest routes.json in bytes: what a ConfigMap can hold.
const MaxFile = 1 << 20

// MaxTimeout is Knative's longest request.
const MaxTimeout = 600 * time.Second

// The kinds of APIs.
const (
	KindMLComponent = "mlComponent"        // passes calls on to an MLComponent's Service
	KindPipeline    = "experimentPipeline" // starts runs of one pipeline
	KindPipelines   = "pipelines"          // runs in general
	KindFiles       = "files"              // the files of users
)

// filesPath is the path of every file API: clients know it.
const filesPath = "files"

// API is one published APIComponent.
type API struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Path is one or more segments, without a slash at its ends.
	Path string `json:"path"`
	// Target is the Knative Service of the MLComponent, in the gateway's own namespace, or the Pipeline.
	Target         string `json:"target,omitempty"`
	TimeoutSeconds int    `json:"timeoutSeconds,omitempty"`
	// Spec is what a caller of a pipeline may name.
	Spec runs.Spec `json:"apiSpec,omitzero"`
	// Auth is who may call. Without it the API is open to everybody.
	Auth *Auth `json:"auth,omitempty"`
	// IdentityPassThrough lets the component know who calls.
	IdentityPassThrough bool `json:"identityPassThrough,omitempty"`
	// TrustedOrigins are the sites, scheme://host[:port] as browsers write it, whose pages may change
	// something in the name of who looks at them.
	TrustedOrigins []string `json:"trustedOrigins,omitempty"`
}

// Auth names the ways to log in; at least one is set.
type Auth struct {
	Basic *Basic `json:"basic,omitempty"`
	// OIDC is OpenID Connect: whose tokens are good.
	OIDC *bearer.Rules `json:"oidc,omitempty"`
}

// Basic is HTTP Basic authentication.
type Basic struct {
	// Credentials is the Secret with the users.
	Credentials string `json:"credentials"`
}

// Timeout of one call, cold start not included.
func (a API) Timeout() time.Duration { return time.Duration(a.TimeoutSeconds) * time.Second }

// Table finds the API of a call.
type Table struct {
	namespace string
	byPath    map[string]API
	origins   map[string]*http.CrossOriginProtection // by path, as byPath
	apis      []API
	boxes     []string
	datasets  []string
	pipelines []string
}

var (
	// A path's segment needs no escaping in a URL, so the bytes on the wire can be compared with it.
	segment   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,62}$`)
	dnsLabel  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	claim     = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,128}$`)
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
)

// Parse reads routes.json for the gateway of a namespace. In a module whose objects have all been prefixed, so are the names in it. All mistakes are in the error.
func Parse(b []byte, namespace, prefix string) (*Table, error) {
	if len(b) > MaxFile {
		return nil, fmt.Errorf("routes: larger than %d bytes", MaxFile)
	}
	var file struct {
		APIs []API `json:"apis"`
		// Boxes are all boxes of the module, Datasets those that can only be read, Pipelines all pipelines.
		Boxes     []string `json:"boxes"`
		Datasets  []string `json:"datasets"`
		Pipelines []string `json:"pipelines"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("routes: more than one JSON value")
	}
	if !dnsLabel.MatchString(namespace) {
		return nil, fmt.Errorf("routes: %q is not a namespace", namespace)
	}
	for i := range file.APIs {
		if a := &file.APIs[i]; a.Target != "" {
			a.Target = prefix + a.Target
		}
	}
	for _, all := range [][]string{file.Boxes, file.Datasets, file.Pipelines} {
		for i := range all {
			all[i] = prefix + all[i]
		}
	}
	t := &Table{namespace: namespace, byPath: map[string]API{}, origins: map[string]*http.CrossOriginProtection{}, apis: file.APIs, boxes: file.Boxes, datasets: file.Datasets, pipelines: file.Pipelines}
	var errs []error
	for _, a := range file.APIs {
		if err := a.check(); err != nil {
			errs = append(errs, fmt.Errorf("routes: API %q: %w", a.Name, err))
		}
		if other, ok := t.byPath[a.Path]; ok {
			errs = append(errs, fmt.Errorf("routes: APIs %q and %q have the same path %q", other.Name, a.Name, a.Path))
		}
		t.byPath[a.Path] = a
		protection, err := a.crossOrigin()
		if err != nil {
			errs = append(errs, fmt.Errorf("routes: API %q: %w", a.Name, err))
		}
		t.origins[a.Path] = protection
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// origin is one site as the header Origin names it; browsers leave the scheme's own port out.
var origin = regexp.MustCompile(`^https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$`)

// crossOrigin lets through what the API's own pages and those of its trusted origins ask for.
func (a API) crossOrigin() (*http.CrossOriginProtection, error) {
	p := http.NewCrossOriginProtection()
	for _, o := range a.TrustedOrigins {
		if !origin.MatchString(o) {
			return nil, fmt.Errorf("trustedOrigins: %q is not an origin such as https://app.example.org", o)
		}
		if err := p.AddTrustedOrigin(o); err != nil {
			return nil, fmt.Errorf("trustedOrigins: %w", err)
		}
	}
	return p, nil
}

// CheckOrigin refuses what a page of another site makes a browser send, which would come with the
// login that the browser keeps. Programs send none of the headers that say so, and pass.
func (t *Table) CheckOrigin(a API, r *http.Request) error { return t.origins[a.Path].Check(r) }

func (a API) check() error {
	var errs []error
	if a.Name == "" {
		errs = append(errs, errors.New("no name"))
	}
	switch a.Kind {
	case KindMLComponent:
		if a.TimeoutSeconds < 1 || a.Timeout() > MaxTimeout {
			errs = append(errs, fmt.Errorf("timeoutSeconds %d is not within 1 to %d", a.TimeoutSeconds, int(MaxTimeout.Seconds())))
		}
	case KindFiles:
		if a.Path != filesPath {
			errs = append(errs, fmt.Errorf("path %q: files are at %q", a.Path, filesPath))
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
			errs = append(errs, fmt.Errorf("path %q: a segment is 1 to 63 of letters, digits and ._~-, and begins with a letter or digit", a.Path))
			break
		}
	}
	if a.Auth != nil {
		errs = append(errs, a.Auth.check())
	}
	return errors.Join(errs...)
}

func (a Auth) check() error {
	if a.Basic == nil && a.OIDC == nil {
		return errors.New("auth names no way to log in")
	}
	if a.Basic != nil && !subdomain.MatchString(a.Basic.Credentials) {
		return fmt.Errorf("credentials %q is not the name of a Secret", a.Basic.Credentials)
	}
	if a.OIDC == nil {
		return nil
	}
	u, err := url.Parse(a.OIDC.Issuer)
	switch {
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "":
		return fmt.Errorf("issuer %q is not a URL", a.OIDC.Issuer)
	case a.OIDC.ClientID == "":
		return errors.New("no clientId: the tokens of every client would be good")
	case !claim.MatchString(a.OIDC.UserClaim):
		return fmt.Errorf("userClaim %q is not the name of a claim", a.OIDC.UserClaim)
	case a.OIDC.UserPrefix != "" && !strings.Contains(a.OIDC.UserPrefix, ":"):
		return fmt.Errorf("userPrefix %q has no colon: users of HTTP Basic could have the same names", a.OIDC.UserPrefix)
	}
	return nil
}

// APIs is all of them, in the file's order.
func (t *Table) APIs() []API { return t.apis }

// Boxes are the names of the module's boxes.
func (t *Table) Boxes() []string { return t.boxes }

// Dataset reports a box that is another module's dataset.
func (t *Table) Dataset(box string) bool { return slices.Contains(t.datasets, box) }

// RunsPath is where runs are looked at: the path of the pipelines API, and its usual one when none is published.
func (t *Table) RunsPath() string {
	for _, a := range t.apis {
		if a.Kind == KindPipelines {
			return a.Path
		}
	}
	return KindPipelines
}

// Has reports that an API of one of the kinds is published.
func (t *Table) Has(kinds ...string) bool {
	return slices.ContainsFunc(t.apis, func(a API) bool { return slices.Contains(kinds, a.Kind) })
}
