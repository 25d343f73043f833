package cmd

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is the path of this repository's Go module.
const module = "github.com/unip-knative/unip/"

// What some rooms must not be built of.
const (
	s3Client          = "github.com/minio/..."
	clients           = "k8s.io/client-go/..."
	clientset         = "k8s.io/client-go/kubernetes"
	otelSDK           = "go.opentelemetry.io/otel/sdk/..."
	controllerRuntime = "sigs.k8s.io/controller-runtime/..."
	knative           = "knative.dev/..."
)

// rules are the arrows that must not be. A path that ends in /... is a package with all below it.
// Paths of this repository begin at its root.
var rules = []struct {
	why   string
	from  []string
	never []string
	// beyond are packages whose imports are not looked at: others chose them.
	beyond []string
}{
	{
		why:   "translation is bytes in, objects out: it speaks to no cluster and to no storage",
		from:  []string{"translate/..."},
		never: []string{s3Client, controllerRuntime, "functions/...", "cmd/..."},
	},
	{
		why:    "translation uses no network",
		from:   []string{"translate/..."},
		never:  []string{clients, "net/http"},
		beyond: []string{knative, "k8s.io/...", "github.com/...", "eventing/events"}, // they bring their clients along
	},
	{
		why:    "no command links all of Kubernetes' API",
		from:   []string{"cmd/unip/..."},
		never:  []string{clientset},
		beyond: []string{knative}, // PingSource's package imports one, for its TLS
	},
	{
		why:   "eventing is the ground that all others stand on",
		from:  []string{"eventing/..."},
		never: []string{"translate/...", "functions/...", "cmd/..."},
	},
	{
		why:   "functions are built and deployed alone; what they share is functions/internal",
		from:  []string{"functions/gateway/..."},
		never: []string{"functions/inference/...", "functions/stage/...", "functions/router/...", "cmd/..."},
	},
	{
		why:   "functions are built and deployed alone; what they share is functions/internal",
		from:  []string{"functions/router/..."},
		never: []string{"functions/gateway/...", "functions/inference/...", "functions/stage/...", "cmd/..."},
	},
	{
		why:   "the router is small, for it runs always: it reads names, labels and annotations, and has no typed client",
		from:  []string{"functions/router/..."},
		never: []string{s3Client, clientset, controllerRuntime, knative, "translate/..."},
	},
	{
		why:   "functions are built and deployed alone; what they share is functions/internal",
		from:  []string{"functions/inference/..."},
		never: []string{"functions/gateway/...", "functions/stage/...", "functions/router/...", "cmd/..."},
	},
	{
		why:   "functions are built and deployed alone; what they share is functions/internal",
		from:  []string{"functions/stage/..."},
		never: []string{"functions/gateway/...", "functions/inference/...", "functions/router/...", "cmd/..."},
	},
	{
		why:   "spans of runs are the controller's: what starts for a call or a stage stays small",
		from:  []string{"functions/gateway/...", "functions/stage/..."},
		never: []string{otelSDK},
	},
	{
		why:   "every command pays at its start for what is linked into any of them",
		from:  []string{"cmd/unip/..."},
		never: []string{s3Client, "cmd/controller/...", "cmd/unip-dev/...", "github.com/versity/..."},
	},
	{
		why:   "the controller knows objects, not manifests",
		from:  []string{"cmd/controller/..."},
		never: []string{"translate", "translate/manifest", "translate/resources", "translate/validate", "cmd/unip/..."},
	},
	{
		why:   "a start is made of what happens: it knows neither who prepares a module nor what becomes of the run",
		from:  []string{"cmd/controller/internal/starts"},
		never: []string{"cmd/controller/internal/runs", "cmd/controller/internal/modules"},
	},
	{
		why:   "a module is prepared for runs, and its runs are begun by starts",
		from:  []string{"cmd/controller/internal/modules"},
		never: []string{"cmd/controller/internal/runs"},
	},
	{
		why:   "a run is carried out alike, whatever began it",
		from:  []string{"cmd/controller/internal/runs"},
		never: []string{"cmd/controller/internal/starts", "cmd/controller/internal/modules"},
	},
	{
		why: "the run bucket, sessions and the module's Role are the ground that the reconcilers stand on",
		from: []string{
			"cmd/controller/internal/runbucket", "cmd/controller/internal/modulerole",
			"cmd/controller/internal/sessions",
		},
		never: []string{
			"cmd/controller/internal/boxes", "cmd/controller/internal/runs", "cmd/controller/internal/starts",
			"cmd/controller/internal/modules",
		},
	},
	{
		why: "this is what runs on a laptop: it knows no cluster and compiles in seconds",
		from: []string{
			"eventing/pipeline", "eventing/plan", "eventing/run", "eventing/runstorage", "eventing/start",
			"eventing/routes", "eventing/record", "eventing/names", "functions/gateway/service/...",
			"functions/inference/service/...", "functions/router/service", "functions/stage/service",
			"translate/manifest", "translate/module",
		},
		never: []string{clients, controllerRuntime, knative},
	},
	{
		why:   "this is what runs on a laptop: it knows no cluster and compiles in seconds",
		from:  []string{"cmd/unip-dev/..."},
		never: []string{clients, controllerRuntime, knative, "cmd/unip/...", "cmd/controller/..."},
	},
	{
		why:   "the demo is built from nothing, beside unip-dev: it brings no packages of its own",
		from:  []string{"e2e/demo", "e2e/demo/show", "e2e/dev", "e2e/digits"},
		never: []string{"k8s.io/...", s3Client, "cmd/...", "functions/...", "translate/..."},
	},
	{
		why:  "what both programs have pulls nothing of a cluster and of storage into either",
		from: []string{"cmd/internal/..."},
		never: []string{clients, controllerRuntime, knative, s3Client,
			"cmd/unip/...", "cmd/unip-dev/...", "cmd/controller/..."},
	},
	{
		why:   "who judges shares no code with who is judged",
		from:  []string{"e2e/chaos/judge"},
		never: []string{"cmd/...", "functions/...", "translate/...", "eventing/run", "eventing/stage", clients},
	},
	{
		why:   "what is decided depends on no object that is made of it",
		from:  []string{"translate/manifest", "translate/module"},
		never: []string{"translate", "translate/resources", "translate/validate", "translate/encode"},
	},
	{
		why:   "who needs the words of a box only gets no S3 client with them",
		from:  []string{"eventing/databox"},
		never: []string{s3Client, "net/http"},
	},
	{
		why: "decisions are pure: no storage and no network",
		from: []string{
			"eventing/lastwords", "eventing/names", "eventing/pipeline", "eventing/plan", "eventing/run",
			"eventing/schedule", "eventing/start", "translate/manifest", "translate/module",
			"functions/inference/service",
		},
		never: []string{s3Client},
	},
}

// Who may import whom. A broken arrow is told with the shortest way that breaks it.
func TestArrows(t *testing.T) {
	t.Parallel()
	imports := load(t)
	for _, rule := range rules {
		for _, from := range rule.from {
			packages := matching(imports, from)
			if len(packages) == 0 {
				t.Errorf("%s: there is no such package", from)
			}
			for _, p := range packages {
				if way := path(imports, p, rule.never, rule.beyond); way != nil {
					t.Errorf("%s:\n\t%s", rule.why, strings.Join(way, "\n\t-> "))
				}
			}
		}
	}
}

// load asks the go command for all packages that the repository's are built of, and what each
// imports. Packages of the repository have their path from its root.
func load(t *testing.T) map[string][]string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports", "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	imports := map[string][]string{}
	for d := json.NewDecoder(strings.NewReader(strings.ReplaceAll(string(out), `"`+module, `"`))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return imports
		} else if err != nil {
			t.Fatal(err)
		}
		imports[p.ImportPath] = p.Imports
	}
}

// matches reports whether a package is meant by a pattern.
func matches(pattern, pkg string) bool {
	root, below := strings.CutSuffix(pattern, "/...")
	return pkg == root || below && strings.HasPrefix(pkg, root+"/")
}

func matching(imports map[string][]string, pattern string) []string {
	all := slices.Sorted(maps.Keys(imports))
	return slices.DeleteFunc(all, func(p string) bool { return !matches(pattern, p) })
}

// path is the shortest way of imports from a package to one of those that it must never reach, or
// nil.
func path(imports map[string][]string, from string, never, beyond []string) []string {
	before := map[string]string{from: ""}
	for next := []string{from}; len(next) > 0; next = next[1:] {
		for _, p := range imports[next[0]] {
			if _, seen := before[p]; seen {
				continue
			}
			before[p] = next[0]
			one := func(pattern string) bool { return matches(pattern, p) }
			if !slices.ContainsFunc(never, one) {
				if !slices.ContainsFunc(beyond, one) {
					next = append(next, p)
				}
				continue
			}
			var way []string
			for ; p != ""; p = before[p] {
				way = append([]string{p}, way...)
			}
			return way
		}
	}
	return nil
}

// The check itself finds what it is for, by the shortest way.
func TestABrokenArrowIsFound(t *testing.T) {
	t.Parallel()
	imports := map[string][]string{
		"translate":      {"fmt", "translate/long", "eventing/x"},
		"translate/long": {"translate/longer"}, "translate/longer": {"github.com/minio/minio-go/v7"},
		"eventing/x": {"github.com/minio/minio-go/v7"}, "eventing/y": {"github.com/miniozen"},
	}
	want := []string{"translate", "eventing/x", "github.com/minio/minio-go/v7"}
	if way := path(imports, "translate", []string{controllerRuntime, s3Client}, nil); !slices.Equal(way, want) {
		t.Errorf("%v, want %v", way, want)
	}
	if way := path(imports, "eventing/y", []string{s3Client}, nil); way != nil {
		t.Errorf("%v: another name that begins alike", way)
	}
	want = []string{"translate", "translate/long", "translate/longer", "github.com/minio/minio-go/v7"}
	if way := path(imports, "translate", []string{s3Client}, []string{"eventing/..."}); !slices.Equal(way, want) {
		t.Errorf("%v, want %v", way, want)
	}
}
