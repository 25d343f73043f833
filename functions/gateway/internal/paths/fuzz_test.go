package paths

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/routes"
)

// every has an API of each kind, and paths that meet.
const every = `{"apis":[
 {"name":"leaf","kind":"mlComponent","path":"leaf","target":"leaf","timeoutSeconds":300,"auth":{"basic":{"credentials":"users"}}},
 {"name":"deep","kind":"mlComponent","path":"leaf/v2/deep","target":"deep","timeoutSeconds":1},
 {"name":"ns","kind":"mlComponent","path":"pu-ann/x","target":"same","timeoutSeconds":1},
 {"name":"train","kind":"experimentPipeline","path":"train","target":"train"},
 {"name":"runs","kind":"pipelines","path":"pipelines"},
 {"name":"files","kind":"files","path":"files"}
],"boxes":["data"],"pipelines":["train"]}`

// A path that leads somewhere leads there in one reading: it is its API's own path and an operation
// of it, nothing in it is encoded, and only the file API, which decodes for itself, gets what is.
func FuzzPaths(f *testing.F) {
	table, err := parse(every)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		"/leaf/predict", "/pu-ann/leaf/v2/models/leaf/infer", "/leaf/v2/deep/predict", "/pu-ann/pu-ann/x/predict",
		"/train/run", "/train", "/pipelines/runs/r/logs", "/pipelines/runs/../cancel", "/files/data/g/f",
		"/pu-ann/files/data/..%2f",
		"//leaf/predict", "/leaf/./predict", "/leaf/%2e%2e/predict", "/leaf/predict/", "/leaf/v2/../../train/run",
		"/leaf;x=1/predict", "/leaf\\predict", "leaf/predict", "*", "", "/", "http://x/leaf/predict", "/files",
		"/filesx/a",
		"/LEAF/predict", "/leaf/predict\x00", "/leaf/v2/\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		m, ok := table.Find("POST", p)
		if !ok {
			return
		}
		if len(m.Methods) == 0 || m.Prefix != "/"+m.API.Path && m.Prefix != "/pu-ann/"+m.API.Path {
			t.Errorf("%q: prefix %q of the path %q, methods %v", p, m.Prefix, m.API.Path, m.Methods)
		}
		if m.API.Kind == routes.KindFiles {
			if m.Operation == Describe && p == m.Prefix+"/openapi.json" {
				return
			}
			if m.Prefix+"/"+m.Upstream != p {
				t.Errorf("%q: %q %q", p, m.Prefix, m.Upstream)
			}
			return
		}
		if strings.TrimSuffix(m.Prefix+m.Upstream, "/") != strings.TrimSuffix(p, "/") ||
			path.Clean(m.Upstream) != m.Upstream ||
			strings.ContainsAny(m.Upstream, "%;\\") {
			t.Errorf("%q: %q %q", p, m.Prefix, m.Upstream)
		}
		if first, _, _ := strings.Cut(strings.TrimPrefix(m.Upstream, "/"), "/"); m.API.Kind == routes.KindMLComponent &&
			!slices.Contains([]string{"predict", "v2", "openapi", "openapi.json"}, first) {
			t.Errorf("%q reaches %q of a component", p, m.Upstream)
		}
	})
}
