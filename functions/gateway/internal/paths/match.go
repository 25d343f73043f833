package paths

import (
	"net/http"
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/routes"
)

// Operation is what a call asks of its API.
type Operation int

// The operations. ForwardCall is the component's, all others are the gateway's; Describe is both's.
const (
	ForwardCall Operation = iota
	ServeFile
	StartRun
	// StartNamed starts a run of the pipeline that the path names, by an API of that pipeline.
	StartNamed
	// Describe is the OpenAPI document of the API.
	Describe
	ListPipelines
	ListRuns
	GetRun
	CancelRun
	ReadLogs
	WatchRun
)

// Match is the API and the operation that a path names.
type Match struct {
	API       routes.API
	Operation Operation
	// Run is the id in the path of an operation of one run, Pipeline the name in that of StartNamed.
	Run, Pipeline string
	// Upstream is the path at the target: /predict, /openapi.json, /openapi or /v2/….
	// Of ServeFile it is what names the file, without a slash before it and still encoded.
	Upstream string
	// Prefix is what stands before it in the caller's path: /<namespace>/<path> or /<path>.
	Prefix string
	// Methods that the operation has.
	Methods []string
}

// pattern is one form of the segments behind an API's path. The segment {run} is a run's id,
// {pipeline} a pipeline's name, and ... at the end any number of segments.
type pattern struct {
	segments  string
	operation Operation
	methods   []string
}

var (
	getAndHead = []string{http.MethodGet, http.MethodHead}
	post       = []string{http.MethodPost}
	// fileMethods are those of every path of the file API, whose own rules say what a path means.
	fileMethods = []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete}
	// protocolMethods are those of the Open Inference Protocol, whose own paths the server knows.
	protocolMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost}
)

// filesDocument is what describes the file API, below its path. No box has a name with a dot.
const filesDocument = "openapi.json"

// patterns are all operations of each kind of API but files. What is not here is not published.
var patterns = map[string][]pattern{
	routes.KindMLComponent: {
		{"predict", ForwardCall, post},
		{"openapi.json", Describe, getAndHead},
		{"openapi", Describe, getAndHead},
		{"v2/...", ForwardCall, protocolMethods},
	},
	routes.KindPipeline: {
		{"", StartRun, post},
		{"run", StartRun, post},
		{"openapi.json", Describe, getAndHead},
		{"openapi", Describe, getAndHead},
	},
	routes.KindPipelines: {
		{"", ListPipelines, getAndHead},
		{"openapi.json", Describe, getAndHead},
		{"openapi", Describe, getAndHead},
		{"runs", ListRuns, getAndHead},
		{"runs/{run}", GetRun, getAndHead},
		{"{pipeline}/run", StartNamed, post},
		{"runs/{run}/cancel", CancelRun, post},
		{"runs/{run}/logs", ReadLogs, getAndHead},
		{"runs/{run}/events", WatchRun, getAndHead},
	},
}

// Find matches the path of a call as it came over the wire (URL.EscapedPath), with or without the
// namespace before it. The longest path of an API that leaves a known operation wins. The method
// decides where two operations have one path, as those of a run named run and of a pipeline named
// runs; where none has it, Match names the methods of all.
//
// Only exact segments match: an empty one (//), . and .., and anything percent-encoded is no path of
// any API, so that no two parts on a call's way can read a path differently. One slash at the end
// says nothing, and is not passed on. The file API alone decodes for itself what stands behind its
// path, and there the slash at the end makes a group.
func (t *Table) Find(method, path string) (Match, bool) {
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return Match{}, false
	}
	for _, prefix := range []string{t.namespace + "/", ""} {
		api, published := t.byPath[routes.FilesPath]
		if below, ok := strings.CutPrefix(rest, prefix+routes.FilesPath+"/"); ok && published &&
			api.Kind == routes.KindFiles {
			if below == filesDocument {
				return Match{
					API: api, Operation: Describe, Prefix: "/" + prefix + routes.FilesPath, Methods: getAndHead,
				}, true
			}
			return Match{
				API: api, Operation: ServeFile, Upstream: below, Prefix: "/" + prefix + routes.FilesPath,
				Methods: fileMethods,
			}, true
		}
	}
	segments := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	for _, s := range segments {
		if s == "" || s == "." || s == ".." || strings.ContainsAny(s, `%\;`) {
			return Match{}, false
		}
	}
	if segments[0] == t.namespace {
		if m, ok := t.find(method, segments[1:], "/"+t.namespace); ok {
			return m, true
		}
	}
	return t.find(method, segments, "")
}

// find tries the longest path of an API first.
func (t *Table) find(method string, segments []string, prefix string) (Match, bool) {
	for n := len(segments); n >= 1; n-- {
		path, rest := strings.Join(segments[:n], "/"), segments[n:]
		var other Match // which has the path, and not the method
		for _, api := range t.at(path) {
			for _, p := range patterns[api.Kind] {
				named, ok := p.match(rest)
				if !ok {
					continue
				}
				found := Match{API: api, Operation: p.operation, Run: named["{run}"], Pipeline: named["{pipeline}"],
					Upstream: "/" + strings.Join(rest, "/"), Prefix: prefix + "/" + path, Methods: p.methods}
				if slices.Contains(p.methods, method) {
					return found, true
				}
				found.Methods = slices.Concat(other.Methods, p.methods)
				other = found
			}
		}
		if other.Methods != nil {
			return other, true
		}
	}
	return Match{}, false
}

// match compares the segments behind an API's path, and gives those that name something.
func (p pattern) match(rest []string) (named map[string]string, ok bool) {
	if first, open := strings.CutSuffix(p.segments, "/..."); open {
		return nil, len(rest) > 0 && rest[0] == first
	}
	var want []string
	if p.segments != "" {
		want = strings.Split(p.segments, "/")
	}
	ok = slices.EqualFunc(want, rest, func(w, have string) bool {
		if w == "{run}" || w == "{pipeline}" {
			named = map[string]string{w: have}
			return true
		}
		return w == have
	})
	return named, ok
}
