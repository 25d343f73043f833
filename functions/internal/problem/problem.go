// Package problem writes errors as problem details (RFC 9457), the one form in which unip's HTTP
// servers say that something went wrong.
//
// A problem's type is a URI under Base whose last part, the slug, is what a program should look at;
// title and detail are for people. A problem never holds a secret or a user's data: its text comes
// from this repository's own constants and from names in the URL.
package problem

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/unip-knative/unip/eventing/plainjson"
)

// ContentType is the media type of a problem.
const ContentType = "application/problem+json"

// Base is the prefix of every problem's type.
const Base = "https://unified-platform.cs.hse.ru/problems/"

// Slugs that more than one part of unip uses. A slug is lower case words joined by "-" and never
// changes its meaning.
const (
	NotFound         = "not-found"          // no such API, or nothing published at this path
	MethodNotAllowed = "method-not-allowed" // see the header Allow
	Unauthorized     = "unauthorized"       // no or wrong credentials
	CallerExpired    = "caller-expired"     // the gateway's signature came too late; the call was not run
	NotAllowed       = "not-allowed"        // who calls is known, and the API does not name the caller
	CrossOrigin      = "cross-origin"       // a browser's call for a page of another site
	TooManyAttempts  = "too-many-attempts"  // wrong passwords; see the header Retry-After
	BodyTooLarge     = "body-too-large"     // the request's body is over the limit
	BadRequest       = "bad-request"        // the request cannot be understood
	InvalidJSON      = "invalid-json"       // the request's body is not JSON
	Unsupported      = "unsupported-type"   // the request's body is of a type or an encoding that is not taken
	HeaderTooLarge   = "header-too-large"   // the request's headers are over the limit
	Unavailable      = "unavailable"        // a part behind does not answer; see the header Retry-After
	Timeout          = "timeout"            // the call's own deadline passed
	Internal         = "internal"           // a mistake of ours
	ModelNotFound    = "model-not-found"    // the component's model is not in its box yet
)

// Problem is one error. Type, Title and Status are always there in what Write sends.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says what is wrong with this one call. Clients of the platform read the key "detail"
	// of an error's body.
	Detail string `json:"detail,omitempty"`
	// Instance is the path of the call. Write fills it in from the request (see At) when it is
	// empty.
	Instance string `json:"instance,omitempty"`
	// Errors names single faults of the request, each with its place.
	Errors []Fault `json:"errors,omitempty"`
	// Message is what the clients of the Open Inference Protocol read. Write sets it, to the detail
	// or the title, on paths of that protocol.
	Message string `json:"error,omitempty"`
}

// Fault is one mistake in a request's body.
type Fault struct {
	// Pointer is a JSON pointer to the value (RFC 6901): "/inputs/0/datatype".
	Pointer string `json:"pointer,omitempty"`
	Detail  string `json:"detail"`
}

// New is a problem of the type Base+slug. Without a title it gets the status's own text.
func New(slug string, status int, title, detail string) Problem {
	if title == "" {
		title = http.StatusText(status)
	}
	return Problem{Type: Base + slug, Title: title, Status: status, Detail: detail}
}

// Slug is the last part of the problem's type, "" for a type that is not one of unip's.
func (p Problem) Slug() string {
	slug, ok := strings.CutPrefix(p.Type, Base)
	if !ok {
		return ""
	}
	return slug
}

// Error makes a problem usable as an error inside a server.
func (p Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

const (
	// MaxFaults is how many faults an answer tells.
	MaxFaults = 20
	// maxText and maxFaultText bound the texts of an answer in bytes: most quote what the caller
	// sent.
	maxText, maxFaultText = 4 << 10, 1 << 10
)

// clip shortens a text, between characters.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// bound makes a problem small whatever was asked.
func bound(p Problem) Problem {
	p.Title, p.Detail = clip(p.Title, maxText), clip(p.Detail, maxText)
	p.Errors = slices.Clone(p.Errors[:min(len(p.Errors), MaxFaults)])
	for i, f := range p.Errors {
		p.Errors[i] = Fault{Pointer: clip(f.Pointer, maxFaultText), Detail: clip(f.Detail, maxFaultText)}
	}
	return p
}

type placeKey struct{}

// At is r, whose problems have that path as their instance: the one that the caller called, where
// something on the way has changed it.
func At(r *http.Request, path string) *http.Request { return r.WithContext(In(r.Context(), &path)) }

// In is a context like that of At, for requests of which the path is known only later: until then it
// is empty. So a request is copied once.
func In(ctx context.Context, path *string) context.Context {
	return context.WithValue(ctx, placeKey{}, path)
}

func placeOf(r *http.Request) string {
	if path, ok := r.Context().Value(placeKey{}).(*string); ok && *path != "" {
		return *path
	}
	return r.URL.EscapedPath()
}

// Answer answers r with a new problem.
func Answer(w http.ResponseWriter, r *http.Request, slug string, status int, title, detail string) {
	Write(w, r, New(slug, status, title, detail))
}

// Write answers r with p. r may be nil; it gives the instance and the message, and a HEAD request
// gets no body. Headers that only make sense for a good answer (length, encoding, tag) are taken
// out; those that belong to the error (Retry-After, WWW-Authenticate, Allow) are set by the caller
// before. A status outside 400 to 599 is a mistake in the program and becomes 500.
func Write(w http.ResponseWriter, r *http.Request, p Problem) {
	p = bound(p)
	if p.Status < 400 || p.Status > 599 {
		p.Status = http.StatusInternalServerError
	}
	if p.Type == "" {
		p.Type = "about:blank"
	}
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	if p.Instance == "" && r != nil && r.URL != nil {
		p.Instance = placeOf(r)
	}
	if r != nil && r.URL != nil && strings.Contains(r.URL.Path+"/", "/v2/") {
		p.Message = cmp.Or(p.Detail, p.Title)
	}
	h := w.Header()
	for _, k := range []string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified"} {
		h.Del(k)
	}
	h.Set("Content-Type", ContentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	if r != nil && r.Method == http.MethodHead {
		return
	}
	b, err := plainjson.Marshal(p)
	if err != nil { // cannot happen: the fields are strings and a number
		return
	}
	_, _ = w.Write(append(b, '\n'))
}
