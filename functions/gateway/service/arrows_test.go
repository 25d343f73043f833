package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A gateway runs where there is no Kubernetes, and compiles in seconds.
func TestTheServiceKnowsNoCluster(t *testing.T) {
	t.Parallel()
	const from = "github.com/unip-knative/unip/functions/gateway/service"
	imports := importsOf(t, from)
	for to := range imports {
		if way := arrows(imports, from, to); ofACluster(to) && !ofACluster(way[len(way)-2]) {
			t.Errorf("an arrow that must not be: %s", strings.Join(way, " -> "))
		}
	}
}

func ofACluster(pkg string) bool {
	return slices.ContainsFunc([]string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "knative.dev"},
		func(never string) bool {
			return pkg == never || strings.HasPrefix(pkg, never+"/")
		})
}

// importsOf is all packages that a package is built of, with what each imports.
func importsOf(t *testing.T, pkg string) map[string][]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports", pkg).Output()
	if err != nil {
		t.Fatal(err)
	}
	imports := map[string][]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
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

// arrows is the shortest way of imports from one package to another.
func arrows(imports map[string][]string, from, to string) []string {
	before := map[string]string{from: ""}
	for next := []string{from}; len(next) > 0; next = next[1:] {
		for _, p := range imports[next[0]] {
			if _, seen := before[p]; !seen {
				before[p] = next[0]
				next = append(next, p)
			}
		}
	}
	var way []string
	for p := to; p != ""; p = before[p] {
		way = append(way, p)
	}
	slices.Reverse(way)
	return way
}
