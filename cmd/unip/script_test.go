package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	command := func() { os.Exit(run()) }
	testscript.Main(m, map[string]func(){"unip": command, "kubectl-unip": command})
}

// Each script is a story of somebody at the command line. $EXAMPLES is examples/ of this repository, $REFUSES a module at which everybody is refused, with what they showed.
func TestScripts(t *testing.T) {
	t.Parallel()
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"status":401,"title":"Unauthorized","detail":"shown: %s"}`, r.Header.Get("Authorization"))
	}))
	t.Cleanup(refuses.Close) // when the scripts, which run in parallel, are through
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("EXAMPLES", examples)
			e.Setenv("REFUSES", refuses.URL+"/ns")
			return nil
		},
	})
}

// What `unip version` says of Knative is what go.mod selects.
func TestKnativeVersionIsThatOfGoMod(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "knative.dev/serving " + knativeVersion + "\n"; !strings.Contains(string(mod), want) {
		t.Errorf("go.mod does not require %q", want)
	}
}
