// Package routes is routes.json: which APIs a module publishes, and what they need. The translator
// writes the file and the module's gateway reads it.
//
// No hand writes the file, so reading it is strict: an unknown field, a double path or an
// impossible name is an error that keeps the gateway from starting, rather than an API that is open
// by mistake.
package routes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/unip-knative/unip/eventing/users"
)

const (
	// MaxFile is the largest routes.json in bytes: what a ConfigMap can hold.
	MaxFile = 1 << 20
	// MaxTimeout is Knative's longest request.
	MaxTimeout = 600 * time.Second
	// ColdStart is what a call may take on top of its API's timeout: Knative's activator holds it
	// while the component starts, and a big model takes its time.
	ColdStart = 3 * time.Minute
)

// The kinds of APIs.
const (
	KindMLComponent = "mlComponent"        // passes calls on to an MLComponent's Service
	KindPipeline    = "experimentPipeline" // starts runs of one pipeline
	KindPipelines   = "pipelines"          // runs in general
	KindFiles       = "files"              // the files of users
)

// FilesPath is the path of every file API: clients know it.
const FilesPath = "files"

// File is routes.json.
type File struct {
	APIs []API `json:"apis"`
	// Boxes are all boxes of the module, Datasets those that can only be read, Pipelines all
	// pipelines. They stand here only where an API needs them.
	Boxes     []string `json:"boxes,omitempty"`
	Datasets  []string `json:"datasets,omitempty"`
	Pipelines []string `json:"pipelines,omitempty"`
	// Developers are by box who may write into its developer's area: whole identities.
	Developers map[string][]string `json:"developers,omitempty"`
	// Site is the one host of all modules as browsers write it, https://unip.example.org: its pages
	// are the module's own.
	Site string `json:"site,omitempty"`
}

// API is one published APIComponent.
type API struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Path is one or more segments, without a slash at its ends.
	Path string `json:"path"`
	// Target is the Knative Service of the MLComponent, in the gateway's own namespace, or the
	// Pipeline.
	Target         string `json:"target,omitempty"`
	TimeoutSeconds int    `json:"timeoutSeconds,omitempty"`
	// Spec is what a caller of a pipeline may name.
	Spec Spec `json:"apiSpec,omitzero"`
	// Labels are those of the runs that are started.
	Labels map[string]string `json:"labels,omitempty"`
	// Auth is who may call. Without it the API is open to everybody.
	Auth *Auth `json:"auth,omitempty"`
	// IdentityPassThrough lets the function, or the stages of a run, know who calls.
	IdentityPassThrough bool `json:"identityPassThrough,omitempty"`
	// TrustedOrigins are the sites, scheme://host[:port] as browsers write it, whose pages may call:
	// change something in the name of who looks at them, and read the answers.
	TrustedOrigins []string `json:"trustedOrigins,omitempty"`
}

// Auth names the ways to log in; at least one is set.
type Auth struct {
	Basic *Basic `json:"basic,omitempty"`
	// OIDC is OpenID Connect: whose tokens are good.
	OIDC *OIDC `json:"oidc,omitempty"`
}

// Basic is HTTP Basic authentication.
type Basic struct {
	// Credentials is the Secret with the users.
	Credentials string `json:"credentials"`
}

// OIDC is what the tokens of one API must keep to.
type OIDC struct {
	// Issuer is the provider's URL, exactly as its tokens spell it.
	Issuer string `json:"issuer"`
	// ClientID is the client that a token must have been made for.
	ClientID string `json:"clientId"`
	// UserClaim is the claim that names the user, UserPrefix what stands before the name in the
	// identity.
	UserClaim  string `json:"userClaim"`
	UserPrefix string `json:"userPrefix"`
	// SameAsBasic makes users whose names users of HTTP Basic can have, too, the same people:
	// nothing stands before such a name.
	SameAsBasic bool `json:"sameAsBasic,omitempty"`
	// Users (whole identities) and Groups say who may call. Without either everybody may who has a
	// good token. Groups are looked for in the list that the claim GroupsClaim holds.
	Users       []string `json:"users,omitempty"`
	Groups      []string `json:"groups,omitempty"`
	GroupsClaim string   `json:"groupsClaim,omitempty"`
}

// Identity is the user that a name in the claim UserClaim stands for. With SameAsBasic it is the bare
// name, where a user of HTTP Basic can have that; others stay apart, as anonymous and a:b.
func (o OIDC) Identity(name string) string {
	if o.SameAsBasic && users.CheckBasic(name) == nil {
		return name
	}
	return o.UserPrefix + name
}

// Spec is what a caller of a pipeline may name.
type Spec struct {
	Inputs  []Variable `json:"inputs,omitempty"`
	Outputs []Variable `json:"outputs,omitempty"`
}

// Variable is a variable as the API of a pipeline shows it.
type Variable struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Required is what a call must name. The usual is true of inputs and false of outputs.
	Required     bool     `json:"required"`
	Datatypes    []string `json:"datatypes,omitempty"`
	ContentTypes []string `json:"contentTypes,omitempty"`
}

// Input is what the API says of an input; without a name when it says nothing.
func (s Spec) Input(name string) Variable {
	i := slices.IndexFunc(s.Inputs, func(v Variable) bool { return v.Name == name })
	if i < 0 {
		return Variable{}
	}
	return s.Inputs[i]
}

// Timeout of one call, cold start not included.
func (a API) Timeout() time.Duration { return time.Duration(a.TimeoutSeconds) * time.Second }

// Longest is how long a call may take in all, cold start included. Knative ends it at MaxTimeout
// anyway.
func (a API) Longest() time.Duration { return min(a.Timeout()+ColdStart, MaxTimeout) }

// Encode writes the file. The same values always give the same bytes.
func (f File) Encode() []byte {
	if f.APIs == nil {
		f.APIs = []API{}
	}
	b, _ := json.MarshalIndent(f, "", "  ") // strings and numbers always encode
	return append(b, '\n')
}

// Decode reads a file of at most MaxFile bytes. It refuses unknown fields and what follows the
// file; what the fields say is for Validate.
func Decode(b []byte) (File, error) {
	if len(b) > MaxFile {
		return File{}, fmt.Errorf("routes: larger than %d bytes", MaxFile)
	}
	var f File
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return File{}, fmt.Errorf("routes: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return File{}, errors.New("routes: more than one JSON value")
	}
	return f, nil
}

// Prefixed is the file with a prefix before the names of objects, for a module whose objects have
// all been prefixed. Secrets of users are mounted by the names that the file has, and keep them.
func (f File) Prefixed(prefix string) File {
	f.APIs = slices.Clone(f.APIs)
	for i := range f.APIs {
		if a := &f.APIs[i]; a.Target != "" {
			a.Target = prefix + a.Target
		}
	}
	f.Boxes, f.Datasets, f.Pipelines = prefixed(f.Boxes, prefix), prefixed(f.Datasets, prefix), prefixed(f.Pipelines,
		prefix)
	if developers := f.Developers; len(developers) > 0 {
		f.Developers = map[string][]string{}
		for box, all := range developers {
			f.Developers[prefix+box] = all
		}
	}
	return f
}

func prefixed(names []string, prefix string) []string {
	var all []string
	for _, name := range names {
		all = append(all, prefix+name)
	}
	return all
}

// Publishes reports that an API of one of the kinds is published.
func (f File) Publishes(kinds ...string) bool {
	return slices.ContainsFunc(f.APIs, func(a API) bool { return slices.Contains(kinds, a.Kind) })
}
