package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

const echo = `
def echo(inputs):
    """Answers with its inputs."""
    return inputs
`

func TestEchoAndUserSeesOnlyDeclaredArguments(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo").awaitReady()
	a := c.predict(200, `{"inputs":[{"name":"x","datatype":"str","data":"привет","shape":0}],"model_key":null}`)
	if len(a.Outputs) != 1 || a.Outputs[0].Data != "привет" {
		t.Errorf("%s", a.body)
	}
}

// What clients of the platform send loosely is accepted.
func TestTolerance(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo").awaitReady()
	for _, body := range []string{
		`{"inputs":[]}`, `{}`, `{"inputs":null,"parameters":null,"output_fields":null}`,
		`{"inputs":[{"name":"x","data":1}]}`,
		`{"inputs":[{"name":"x","datatype":"FP32","data":[1,2],"shape":2}]}`,
		`{"inputs":[{"name":"x","datatype":"FP32","data":[1,2],"shape":[2,1],"content_type":"a/b"}]}`,
		`{"inputs":[{"name":"x","datatype":"str","data":"\u00ff\u0000"}],"output_fields":[{"name":"echo","datatype":"str"}]}`,
		`{"inputs":[{"name":"x","data":"y"}],"output_fields":["nothing"],"unknown":1}`,
		"  \n{\"inputs\":[]}\n",
	} {
		c.predict(200, body)
	}
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo").awaitReady()
	if a := c.predict(413, `{"inputs":[{"name":"x","data":"`+strings.Repeat("x",
		64<<20)+`"}]}`); a.slug() != "body-too-large" {
		t.Errorf("%.200s", a.body)
	}
	big := strings.Repeat("y", 20<<20)
	if a := c.predict(200, `{"inputs":[{"name":"x","data":"`+big+`"}]}`); len(a.Outputs) != 1 ||
		a.Outputs[0].Data != big {
		t.Error("20 MiB did not come back whole")
	}
}

func TestWrongMethodAndPath(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo").awaitReady()
	for path, want := range map[string]int{"/predict": 405, "/nothing": 404, "/": 404, "/openapi.json": 200,
		"/openapi": 200, "/healthz": 200} {
		resp, err := http.Get(c.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

const results = `
import sys
class Array:  # stands in for numpy: what the worker looks at
    dtype, shape = "float32", (2, 2)
    def ravel(self): return self
    def tolist(self): return [1.5, 2.0, 3.0, 4.0]

def f(inputs):
    what = inputs[0]["data"]
    if what == "list": return [{"name": "a", "datatype": "str", "data": "x"}, {"name": "b", "data": 1}]
    if what == "outputs": return {"outputs": [{"name": "a", "data": "x"}]}
    if what == "by name": return {"a": "x", "b": {"data": [1], "datatype": "INT32"}}
    if what == "array": return [{"name": "a", "data": Array()}]
    if what == "nan": return [{"name": "a", "data": [float("nan"), 1.0, float("inf")]}]
    if what == "bytes": return [{"name": "a", "data": b"\xff\x00"}]
    if what == "none": return None
    if what == "text": return "x"
    if what == "no name": return [{"data": 1}]
    if what == "object": return [{"name": "a", "data": object()}]
    if what == "raise": raise KeyError("the reason")
    if what == "async": return later()
async def later(): return [{"name": "a", "data": "x"}]
`

func TestResults(t *testing.T) {
	t.Parallel()
	for name, flag := range map[string]string{"with what the image has": "-B", "with the standard library only": "-S"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testResults(t, startPython(t, flag, results, "f").awaitReady())
		})
	}
}

func testResults(t *testing.T, c *component) {
	for what, want := range map[string]string{
		"list":    `{"outputs":[{"name":"a","datatype":"str","data":"x"},{"name":"b","datatype":"INT64","shape":[1],"data":[1]}]}`,
		"outputs": `{"outputs":[{"name":"a","datatype":"str","data":"x"}]}`,
		"by name": `{"outputs":[{"name":"a","datatype":"str","data":"x"},{"data":[1],"datatype":"INT32","shape":[1],"name":"b"}]}`,
		"array":   `{"outputs":[{"name":"a","data":[1.5,2.0,3.0,4.0],"shape":[2,2],"datatype":"FP32"}]}`,
		"nan":     `{"outputs":[{"name":"a","datatype":"FP64","shape":[3],"data":[null,1.0,null]}]}`,
		"bytes":   `{"outputs":[{"name":"a","datatype":"BYTES","data":"\u00ff\u0000"}]}`,
		"async":   `{"outputs":[{"name":"a","datatype":"str","data":"x"}]}`,
	} {
		if a := c.predict(200, `{"inputs":[{"name":"w","data":"`+what+`"}]}`); !sameJSON(t, a.body, want) {
			t.Errorf("%s: %s, want %s", what, a.body, want)
		}
	}
	for what, want := range map[string]string{
		"none": "invalid-result", "text": "invalid-result", "no name": "invalid-result", "object": "invalid-result",
		"raise": "function-error",
	} {
		a := c.predict(500, `{"inputs":[{"name":"w","data":"`+what+`"}]}`)
		if a.slug() != want || a.Detail == "" || strings.Contains(a.body, "Traceback") {
			t.Errorf("%s: %s, want %s", what, a.body, want)
		}
	}
	if !strings.Contains(c.output.String(), "KeyError: 'the reason'") {
		t.Error("the traceback of the function is not in the log")
	}
	a := c.predict(200, `{"inputs":[{"name":"w","data":"list"}],"output_fields":[{"name":"b"}]}`)
	if len(a.Outputs) != 1 || a.Outputs[0].Name != "b" {
		t.Errorf("output_fields did not choose: %s", a.body)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Error(err)
	}
	return reflect.DeepEqual(x, y)
}

// Every answer carries its question's word, with many callers and several workers.
func TestConcurrentCallsAreNotCrossed(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo", func(o *setup) { o.workers = 3 }).awaitReady()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for j := range 20 {
				word := fmt.Sprintf("%d/%d", i, j)
				a, err := c.post(t.Context(), `{"inputs":[{"name":"x","data":"`+word+`"}]}`)
				if err != nil || len(a.Outputs) != 1 || a.Outputs[0].Data != word {
					t.Errorf("%s: %v %s", word, err, a.body)
				}
			}
		})
	}
	wg.Wait()
}

const dying = `
import os, sys, time, ctypes, signal
def f(inputs):
    what = inputs[0]["data"]
    if what == "exit": sys.exit(3)
    if what == "os exit": os._exit(4)
    if what == "segfault": os.kill(os.getpid(), signal.SIGSEGV)
    if what == "oom": os.kill(os.getpid(), signal.SIGKILL)
    if what == "sleep": time.sleep(60)
    if what == "nap": time.sleep(0.5)
    if what == "fork":
        if os.fork() == 0:
            time.sleep(0.2)
            os._exit(0)
    return [{"name": "pid", "data": os.getpid()}]
`

func TestAWorkerThatDiesFailsOneCall(t *testing.T) {
	t.Parallel()
	c := start(t, dying, "f").awaitReady()
	call := func(what string) string { return `{"inputs":[{"name":"w","data":"` + what + `"}]}` }
	for what, want := range map[string]string{
		"exit": "exit code 3", "os exit": "exit code 4", "segfault": "signal 11", "oom": "signal 9",
	} {
		a := c.predict(502, call(what))
		if a.slug() != "function-died" || !strings.Contains(a.Detail, want) {
			t.Errorf("%s: %s, want %s", what, a.body, want)
		}
		c.predict(200, call("nothing"))
	}
	c.predict(200, call("fork"))
	c.predict(200, call("nothing"))
}

func TestDeadlineReplacesTheWorker(t *testing.T) {
	t.Parallel()
	c := start(t, dying, "f", func(o *setup) { o.timeout = time.Second; o.workers = 2 }).awaitReady()
	begin := time.Now()
	if a := c.predict(504, `{"inputs":[{"name":"w","data":"sleep"}]}`); a.slug() != "timeout" {
		t.Errorf("%s", a.body)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("a call of at most 1 s was answered after %s", took)
	}
	pids := map[float64]bool{}
	eventually(t, "two workers again", func() bool {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range 4 {
			wg.Go(func() {
				a, err := c.post(t.Context(), `{"inputs":[{"name":"w","data":"nap"}]}`)
				if err == nil && len(a.Outputs) == 1 {
					mu.Lock()
					defer mu.Unlock()
					pids[a.number()] = true
				}
			})
		}
		wg.Wait()
		return len(pids) == 2
	})
}

func TestCancelledCallersGiveUpTheirPlace(t *testing.T) {
	t.Parallel()
	c := start(t, dying, "f", func(o *setup) { o.queue = 2 }).awaitReady()
	nap := `{"inputs":[{"name":"w","data":"nap"}]}`
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 3 { // one runs, two wait; again and again, for the calls below may come before them
		wg.Go(func() {
			for ctx.Err() == nil {
				_, _ = c.post(ctx, nap)
			}
		})
	}
	eventually(t, "a full queue", func() bool {
		short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer stop()
		a, err := c.post(short, nap)
		return err == nil && a.status == 503 && a.slug() == "overloaded" && a.header.Get("Retry-After") != ""
	})
	cancel()
	wg.Wait()
	eventually(t, "places again", func() bool {
		a, err := c.post(t.Context(), nap)
		return err == nil && a.status == 200
	})
}

func TestOpenAPIFromTheDocstring(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo").awaitReady()
	resp, err := http.Get(c.url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc struct {
		Info struct{ Title, Description string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil || doc.Info.Title != "leaf" ||
		doc.Info.Description != "Answers with its inputs." {
		t.Errorf("%+v %v", doc, err)
	}
}
