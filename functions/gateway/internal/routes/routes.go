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
	"regexp"
	"strings"
	"time"
)

// MaxFile is the largest routes.json in bytes: what a ConfigMap can hold.
const MaxFile = 1 << 20

// MaxTimeout is Knative's longest request.
const MaxTimeout = 600 * time.Second

// KindMLComponent is an API that passes calls on to an MLComponent's Service.
const KindMLComponent = "mlComponent"

// API is one published APIComponent.
type API struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Path is one or more segments, without a slash at its ends.
	Path string `json:"path"`
	// Target is the Knative Service of the MLComponent, in the gateway's own namespace.
	Target         string `json:"target"`
	TimeoutSeconds int    `json:"timeoutSeconds"`
	// Auth is who may call. Without it the API is open to everybody.
	Auth *Auth `json:"auth,omitempty"`
	// IdentityPassThrough lets the component know who calls.
	IdentityPassThrough bool `json:"identityPassThrough,omitempty"`
}

// Auth names the ways to log in; at least one is set.
type Auth struct {
	Basic *Basic `json:"basic,omitempty"`
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
	apis      []API
}

var (
	// A path's segment needs no escaping in a URL, so the bytes on the wire can be compared with it.
	segment   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,62}$`)
	dnsLabel  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
)

// Parse reads routes.json for the gateway of a namespace. All mistakes are in the error.
func Parse(b []byte, namespace string) (*Table, error) {
	if len(b) > MaxFile {
		return nil, fmt.Errorf("routes: larger than %d bytes", MaxFile)
	}
	var file struct {
		APIs []API `json:"apis"`
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
	t := &Table{namespace: namespace, byPath: map[string]API{}, apis: file.APIs}
	var errs []error
	for _, a := range file.APIs {
		if err := a.check(); err != nil {
			errs = append(errs, fmt.Errorf("routes: API %q: %w", a.Name, err))
		}
		if other, ok := t.byPath[a.Path]; ok {
			errs = append(errs, fmt.Errorf("routes: APIs %q and %q have the same path %q", other.Name, a.Name, a.Path))
		}
		t.byPath[a.Path] = a
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

func (a API) check() error {
	var errs []error
	if a.Name == "" {
		errs = append(errs, errors.New("no name"))
	}
	if a.Kind != KindMLComponent {
		errs = append(errs, fmt.Errorf("unknown kind %q", a.Kind))
	}
	for s := range strings.SplitSeq(a.Path, "/") {
		if !segment.MatchString(s) {
			errs = append(errs, fmt.Errorf("path %q: a segment is 1 to 63 of letters, digits and ._~-, and begins with a letter or digit", a.Path))
			break
		}
	}
	if !dnsLabel.MatchString(a.Target) {
		errs = append(errs, fmt.Errorf("target %q is not the name of a Service", a.Target))
	}
	if a.TimeoutSeconds < 1 || a.Timeout() > MaxTimeout {
		errs = append(errs, fmt.Errorf("timeoutSeconds %d is not within 1 to %d", a.TimeoutSeconds, int(MaxTimeout.Seconds())))
	}
	if a.Auth != nil && a.Auth.Basic == nil {
		errs = append(errs, errors.New("auth names no way to log in"))
	}
	if a.Auth != nil && a.Auth.Basic != nil && !subdomain.MatchString(a.Auth.Basic.Credentials) {
		errs = append(errs, fmt.Errorf("credentials %q is not the name of a Secret", a.Auth.Basic.Credentials))
	}
	return errors.Join(errs...)
}

// APIs is all of them, in the file's order.
func (t *Table) APIs() []API { return t.apis }
