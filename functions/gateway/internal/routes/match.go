package routes

import (
	"net/http"
	"strings"
)

// Match is the API and the operation that a path names.
type Match struct {
	API API
	// Upstream is the path at the target: /predict, /openapi.json, /openapi or /v2/….
	Upstream string
	// Prefix is what stands before it in the caller's path: /<namespace>/<path> or /<path>.
	Prefix string
	// Methods that the operation has, GET always with HEAD.
	Methods []string
}

// Find matches the path of a call as it came over the wire (URL.EscapedPath), with or without the namespace before it. The longest path of an
// API that leaves a known operation wins.
//
// Only exact segments match: an empty one (//, a slash at the end), . and .., and anything percent-encoded is no path of any API, so that no
// two parts on a call's way can read a path differently.
func (t *Table) Find(path string) (Match, bool) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return Match{}, false
	}
	for _, prefix := range []string{t.namespace + "/", ""} {
		api, published := t.byPath[filesPath]
		if below, ok := strings.CutPrefix(rest, prefix+filesPath+"/"); ok && published && api.Kind == KindFiles {
			return Match{api, below, "/" + prefix + filesPath, fileMethods}, true
		}
	}
	segments := strings.Split(rest, "/")
	for _, s := range segments {
		if s == "" || s == "." || s == ".." || strings.ContainsAny(s, `%\;`) {
			return Match{}, false
		}
	}
	if segments[0] == t.namespace {
		if m, ok := t.find(segments[1:], "/"+t.namespace); ok {
			return m, true
		}
	}
	return t.find(segments, "")
}

func (t *Table) find(segments []string, prefix string) (Match, bool) {
	for n := len(segments); n >= 1; n-- {
		api, ok := t.byPath[strings.Join(segments[:n], "/")]
		if !ok {
			continue
		}
		if methods := operation(api.Kind, segments[n:]); methods != nil {
			return Match{api, "/" + strings.Join(segments[n:], "/"), prefix + "/" + api.Path, methods}, true
		}
	}
	return Match{}, false
}

// fileMethods are those of every path of the file API, whose own rules say what a path means.
var fileMethods = []string{http.MethodGet, http.MethodPut, http.MethodDelete}

// operation is the methods of what stands behind an API's path, nil for nothing that is published.
func operation(kind string, rest []string) []string {
	get := []string{http.MethodGet, http.MethodHead}
	last := ""
	if len(rest) > 0 {
		last = rest[len(rest)-1]
	}
	document := len(rest) == 1 && (last == "openapi.json" || last == "openapi")
	switch kind {
	case KindMLComponent:
		switch {
		case len(rest) == 1 && last == "predict":
			return []string{http.MethodPost}
		case document:
			return get
		case len(rest) > 0 && rest[0] == "v2": // the Open Inference Protocol, whose own paths the server knows
			return []string{http.MethodGet, http.MethodHead, http.MethodPost}
		}
	case KindPipeline:
		switch {
		case len(rest) == 0 || (len(rest) == 1 && last == "run"):
			return []string{http.MethodPost}
		case document:
			return get
		}
	case KindPipelines:
		switch {
		case len(rest) == 0 || (len(rest) <= 2 && rest[0] == "runs"):
			return []string{http.MethodGet}
		case len(rest) == 3 && rest[0] == "runs" && last == "cancel":
			return []string{http.MethodPost}
		case len(rest) == 3 && rest[0] == "runs" && (last == "logs" || last == "events"):
			return []string{http.MethodGet}
		}
	}
	return nil
}
