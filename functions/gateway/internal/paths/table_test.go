package paths

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/routes"
)

const file = `{"apis":[
 {"name":"leaf-api","kind":"mlComponent","path":"leaf","target":"leaf-mlcmp","timeoutSeconds":300,"auth":{"basic":{"credentials":"leaves-users"}},"identityPassThrough":true},
 {"name":"deep","kind":"mlComponent","path":"leaf/v2/deep","target":"deep","timeoutSeconds":1},
 {"name":"named-predict","kind":"mlComponent","path":"leaf/predict","target":"odd","timeoutSeconds":1},
 {"name":"like-the-namespace","kind":"mlComponent","path":"pu-ann/x","target":"same","timeoutSeconds":1}
]}`

// parse is the table of a file in the namespace pu-ann.
func parse(text string) (*Table, error) {
	f, err := routes.Decode([]byte(text))
	if err != nil {
		return nil, err
	}
	return New(f, "pu-ann", "")
}

func Example() {
	t, err := parse(file)
	if err != nil {
		panic(err)
	}
	m, ok := t.Find("POST", "/pu-ann/leaf/predict")
	fmt.Println(ok, m.API.Target, m.Upstream, m.Prefix, m.Methods)
	// Output: true leaf-mlcmp /predict /pu-ann/leaf [POST]
}

func TestFind(t *testing.T) {
	t.Parallel()
	table, err := parse(file)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/leaf/predict":                  "leaf-mlcmp /predict",
		"/pu-ann/leaf/predict":           "leaf-mlcmp /predict",
		"/leaf/openapi.json":             "leaf-mlcmp /openapi.json",
		"/pu-ann/leaf/openapi":           "leaf-mlcmp /openapi",
		"/leaf/v2":                       "leaf-mlcmp /v2",
		"/leaf/v2/models/leaf/infer":     "leaf-mlcmp /v2/models/leaf/infer",
		"/leaf/v2/deep/predict":          "deep /predict",
		"/leaf/v2/deep":                  "leaf-mlcmp /v2/deep",
		"/leaf/predict/predict":          "odd /predict",
		"/pu-ann/x/predict":              "same /predict",
		"/pu-ann/pu-ann/x/predict":       "same /predict",
		"/other/leaf/predict":            "",
		"/leaf":                          "",
		"/leaf/":                         "",
		"/leaf/predict/":                 "leaf-mlcmp /predict",
		"/pu-ann/leaf/v2/":               "leaf-mlcmp /v2",
		"/leaf/predict//":                "",
		"/leaf//predict":                 "",
		"//leaf/predict":                 "",
		"/leaf/./predict":                "",
		"/x/../leaf/predict":             "",
		"/leaf/%70redict":                "",
		"/leaf%2Fpredict":                "",
		"/%2e%2e/leaf/predict":           "",
		"/leaf/v2/../predict":            "",
		"/leaf/v2/..;/predict":           "",
		`/leaf/v2/a\b`:                   "",
		"/LEAF/predict":                  "",
		"/leaf/predictx":                 "",
		"/leaf/openapi.json/x":           "",
		"/leaf/healthz":                  "",
		"/predict":                       "",
		"/":                              "",
		"":                               "",
		"*":                              "",
		"leaf/predict":                   "",
		"/pu-ann":                        "",
		"/pu-ann/pu-ann/leaf/predict":    "",
		"/leaf/predict/v2/x/../../leaf/": "",
	} {
		m, ok := table.Find("POST", path)
		got := m.API.Target + " " + m.Upstream
		if !ok {
			got = ""
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestWrongRoutesMakeNoTable(t *testing.T) {
	t.Parallel()
	good := routes.API{Name: "a", Kind: routes.KindMLComponent, Path: "p", Target: "t", TimeoutSeconds: 1}
	wrong := good
	wrong.Kind = "gopher"
	for name, tc := range map[string]struct {
		api               routes.API
		namespace, prefix string
	}{
		"a wrong API":       {wrong, "ns", ""},
		"a wrong namespace": {good, "no/namespace", ""},
		"a prefix of a URL": {good, "ns", "http://"},
	} {
		if _, err := New(routes.File{APIs: []routes.API{tc.api}}, tc.namespace, tc.prefix); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
}

// The pipelines API is at its usual path too. Another API that is there has its own operations.
func TestUsualPathOfRuns(t *testing.T) {
	t.Parallel()
	const other = `{"name":"odd","kind":"mlComponent","path":"pipelines","target":"odd","timeoutSeconds":1},`
	for name, tc := range map[string]struct{ apis, want string }{
		"elsewhere": {"", "runs"}, "taken": {other, "runs"},
	} {
		table, err := parse(`{"apis":[` + tc.apis + `{"name":"runs","kind":"pipelines","path":"lab/runs"}]}`)
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{"/lab/runs/runs/a": "runs", "/pipelines/runs/a": tc.want} {
			m, ok := table.Find("GET", "/pu-ann"+path)
			if ok != (want != "") || m.API.Name != want || ok && m.Prefix+m.Upstream != "/pu-ann"+path {
				t.Errorf("%s: %s: %+v", name, path, m)
			}
		}
		for call, want := range map[string]string{
			"POST predict": "odd", "GET openapi.json": "odd", "GET runs": "runs", "POST train/run": "runs",
			"GET predict": "odd", "POST runs": "runs", // with the methods that there are
		} {
			method, path, _ := strings.Cut(call, " ")
			m, ok := table.Find(method, "/pu-ann/pipelines/"+path)
			if tc.apis != "" && (!ok || m.API.Name != want) {
				t.Errorf("%s: %s: %+v", name, call, m)
			}
		}
		if m, ok := table.Find("GET", "/pipelines"); !ok || m.Operation != ListPipelines {
			t.Errorf("%s: the pipelines: %+v", name, m)
		}
		if table.RunsPath() != "lab/runs" {
			t.Errorf("%s: runs are told to be at %s", name, table.RunsPath())
		}
	}
}

// In a module whose objects have been prefixed, targets and boxes have the prefix, and paths do
// not.
func TestPrefix(t *testing.T) {
	t.Parallel()
	file, err := routes.Decode([]byte(`{"apis":[
		{"name":"a","kind":"mlComponent","path":"leaf","target":"leaf","timeoutSeconds":1},
		{"name":"f","kind":"files","path":"files"}
	],"boxes":["users","data"],"datasets":["data"],"pipelines":["fit"]}`))
	if err != nil {
		t.Fatal(err)
	}
	table, err := New(file, "elsewhere", "stage-")
	if err != nil {
		t.Fatal(err)
	}
	m, ok := table.Find("POST", "/elsewhere/leaf/predict")
	if !ok || m.API.Target != "stage-leaf" || !slices.Equal(table.Boxes(), []string{"stage-users", "stage-data"}) ||
		!table.Dataset("stage-data") {
		t.Errorf("%+v %v", m, table.Boxes())
	}
	if file.APIs[0].Target != "leaf" || file.Boxes[0] != "users" {
		t.Errorf("the caller's file has changed: %+v", file)
	}
}

// Whatever the path is, a match only ever has exact segments of the path itself: it rebuilds to the
// same bytes, but for a slash at its end.
func FuzzFind(f *testing.F) {
	table, err := parse(file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("/pu-ann/leaf/v2/x")
	f.Add("/leaf/%2e%2e/predict")
	f.Fuzz(func(t *testing.T, path string) {
		m, ok := table.Find("POST", path)
		if !ok {
			return
		}
		if d := cmp.Diff(strings.TrimSuffix(path, "/"), m.Prefix+m.Upstream); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if strings.Contains(m.Upstream, "..") && strings.Contains(m.Upstream, "/../") {
			t.Errorf("upstream %q", m.Upstream)
		}
	})
}
