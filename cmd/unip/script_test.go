package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
	"gopkg.in/yaml.v3"

	"github.com/unip-knative/unip/e2e/freeport"
	"github.com/unip-knative/unip/e2e/script"
)

// releaseVariable in a script's environment makes unip know released images, as the linker does for
// a release.
const releaseVariable = "UNIP_TEST_RELEASE"

func TestMain(m *testing.M) {
	command := func() {
		if os.Getenv(releaseVariable) != "" {
			imageInference, imageGateway = "registry.example/unip/inference:v1", "registry.example/unip/gateway:v1"
		}
		os.Exit(run())
	}
	testscript.Main(m, map[string]func(){"unip": command, "kubectl-unip": command})
}

// commands are what scripts can do beyond testscript's own: those of package script, and
//
//	parses json|yaml FILE                        wants data, and no escape code of terminals in it; FILE may be stdout
//	expands FILE...                              puts values of the environment in the place of $NAME in files
//	push IMAGE...                                makes an image of nothing in particular and pushes it
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"exits": script.Exits,
		"until": script.Until,
		"expands": func(ts *testscript.TestScript, _ bool, args []string) {
			for _, file := range args {
				text := os.Expand(ts.ReadFile(file), ts.Getenv)
				ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
			}
		},
		"push": func(ts *testscript.TestScript, _ bool, args []string) {
			for _, image := range args {
				ref, err := name.ParseReference(image)
				ts.Check(err)
				content, err := random.Image(64, 1)
				ts.Check(err)
				ts.Check(remote.Write(ref, content))
			}
		},
		"parses": func(ts *testscript.TestScript, _ bool, args []string) {
			text := ts.ReadFile(args[1])
			if strings.Contains(text, "\x1b") {
				ts.Fatalf("an escape code is in %q", text)
			}
			var v any
			if args[0] == "json" {
				ts.Check(json.Unmarshal([]byte(text), &v))
				return
			}
			for _, document := range strings.Split(text, "\n---\n") {
				ts.Check(yaml.Unmarshal([]byte(document), &v))
			}
		},
	}
}

// scripts runs stories of somebody at the command line. $EXAMPLES is examples/ of this repository,
// $PORT a port that is free, $REGISTRY a registry of images. No other one can be asked.
func scripts(t *testing.T, p testscript.Params, env ...string) {
	t.Helper()
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	images := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo))))
	t.Cleanup(images.Close)
	env = append(env, "REGISTRY="+images.Listener.Addr().String(), "HTTPS_PROXY=http://127.0.0.1:1")
	p.RequireExplicitExec = true
	p.ContinueOnError = true
	p.Setup = func(e *testscript.Env) error {
		port := strconv.Itoa(freeport.Find(t))
		e.Vars = append(e.Vars, append(env, "EXAMPLES="+examples, "HOME="+e.WorkDir, "PORT="+port)...)
		return nil
	}
	testscript.Run(t, p)
}

// predictions is a module whose components are at different points of their lives.
func predictions() http.Handler {
	mux := http.NewServeMux()
	echo := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_ = json.NewEncoder(w).Encode(map[string]any{"outputs": []any{
			map[string]any{"name": "body", "data": string(b)},
			map[string]any{"name": "credentials", "data": r.Header.Get("Authorization")},
		}})
	}
	var woken atomic.Bool
	mux.HandleFunc("POST /ns/says/predict", echo)
	mux.HandleFunc("POST /ns/wakes/predict", func(w http.ResponseWriter, r *http.Request) {
		if woken.Swap(true) {
			echo(w, r)
			return
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/ns/sleeps/predict", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"title":"Model not found","status":503,"detail":"the model is not in its box"}`)
	})
	mux.Handle("/ns/moved/predict", http.RedirectHandler("/ns/says/predict", http.StatusTemporaryRedirect))
	mux.Handle("/ns/lost/predict", http.RedirectHandler("/ns/says/predict", http.StatusMovedPermanently))
	mux.HandleFunc("/ns/refused/predict", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"type":"https://example.org/invalid","title":"Wrong","status":400,"detail":"the input is wrong",`+
			`"errors":[{"pointer":"/inputs/0/data","detail":"a number is wanted"}]}`)
	})
	mux.HandleFunc("/ns/text/predict", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no upstream", http.StatusBadGateway)
	})
	mux.HandleFunc("/ns/hangs/predict", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server sees that the caller has gone
		<-r.Context().Done()
	})
	return mux
}

// steers is a module that says what would steer a terminal.
func steers() http.Handler {
	answer := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	const message = "boo\rfake \x1b[2J\nline"
	run := map[string]any{
		"run_id": "run-1", "pipeline": "train\x1b[2J", "status": "Failed", "message": message,
		"outputs": map[string]string{"a\x1b[2J": "b\nc"},
		"stages": []any{map[string]any{"name": "fit\x1b[2J", "status": "Failed", "reason": "Error\n",
			"message": message, "attempt": 1}},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ns/files/box/g/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"files": []any{map[string]any{"name": "a\nb\x1b[2J"},
			map[string]any{"name": "a\nb\x1b[2J\u202e\u009b"}}, "file_groups": []string{"g\x1b[2J"}})
	})
	for group, name := range map[string]string{"up": "../x", "root": "/x", "none": ""} {
		mux.HandleFunc("GET /ns/files/box/"+group+"/", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, map[string]any{"files": []any{map[string]any{"name": name}}, "file_groups": []string{}})
		})
		mux.HandleFunc("GET /ns/files/box/folder-"+group+"/", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, map[string]any{"files": []any{}, "file_groups": []string{name}})
		})
	}
	mux.HandleFunc("POST /ns/train/run", func(w http.ResponseWriter, _ *http.Request) { answer(w, run) })
	mux.HandleFunc("GET /ns/pipelines/runs", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"runs": []any{run}})
	})
	mux.HandleFunc("GET /ns/pipelines/runs/run-1", func(w http.ResponseWriter, _ *http.Request) { answer(w, run) })
	mux.HandleFunc("GET /ns/pipelines/runs/run-1/logs",
		func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "\x1b[2J") })
	mux.HandleFunc("GET /ns/pipelines/runs/run-2", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		answer(w, map[string]any{"title": "Not \x1b[31mFound", "detail": "no\nsuch run"})
	})
	return mux
}

// Stories of what needs no cluster. $STEERS is a module of steers, $REFUSES is a module at which
// everybody is refused, with what they showed; $PREDICTS one of predictions. $MODULE is a real gateway
// with two runs, $AWAY the same and away for every second call, $SLOW the same and slow to begin.
func TestScripts(t *testing.T) {
	t.Parallel()
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"status":401,"title":"Unauthorized","detail":"shown: %s"}`, r.Header.Get("Authorization"))
	}))
	t.Cleanup(refuses.Close) // when the scripts, which run in parallel, are through
	predicts := httptest.NewServer(predictions())
	t.Cleanup(predicts.Close)
	hostile := httptest.NewServer(steers())
	t.Cleanup(hostile.Close)
	store := twoRuns(t)
	runs := succeeds(moduleOf(t, store), store)
	module, hasGaps := httptest.NewServer(runs), httptest.NewServer(away(runs))
	t.Cleanup(module.Close)
	t.Cleanup(hasGaps.Close)
	slow := httptest.NewServer(wakesUp(runs))
	t.Cleanup(slow.Close)
	scripts(t, testscript.Params{Dir: "testdata/script", Cmds: commands()}, "REFUSES="+refuses.URL+"/ns",
		"PREDICTS="+predicts.URL+"/ns", "STEERS="+hostile.URL+"/ns", "MODULE="+module.URL+"/ns",
		"AWAY="+hasGaps.URL+"/ns", "SLOW="+slow.URL+"/ns")
}
