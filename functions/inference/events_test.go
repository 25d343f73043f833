package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// events calls with Accept: text/event-stream; next gives one event, "KIND DATA", after the other.
func (c *component) events(path, body string) (status int, next func() string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	resp, err := client.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode == 200 && resp.Header.Get("Content-Type") != "text/event-stream" {
		c.t.Errorf("%v", resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	return resp.StatusCode, func() string {
		kind, data := "", ""
		for lines.Scan() {
			switch line := lines.Text(); {
			case line == "":
				return strings.TrimSpace(kind + " " + data)
			case strings.HasPrefix(line, "event: "):
				kind = line[len("event: "):]
			case strings.HasPrefix(line, "data: "):
				data += line[len("data: "):]
			default:
				return line
			}
		}
		return ""
	}
}

// Each output goes when the function has yielded it; what fails later is an event, too.
func TestEvents(t *testing.T) {
	t.Parallel()
	for _, def := range []string{"def", "async def"} {
		c := start(t, "import os, time\n"+def+` f(inputs):
    what = inputs[0]["data"] if inputs else ""
    what = what if isinstance(what, str) else what[0]
    if what == "refuse": raise KeyError("at once")
    yield {"word": "oak"}
    while what == "wait" and not os.path.exists("go on"): time.sleep(0.01)
    yield {"name": "n", "data": [1, 2]}
    if what == "raise": raise KeyError("the reason")
    if what == "exit": os._exit(3)
`, "f").awaitReady()
		call := func(what string) string { return `{"inputs":[{"name":"w","datatype":"str","data":"` + what + `"}]}` }
		status, next := c.events("/predict", call("wait"))
		if got := next(); status != 200 || !sameJSON(t, got, `{"outputs":[{"name":"word","data":"oak","datatype":"str"}]}`) {
			t.Fatalf("%d %s", status, got)
		}
		c.write("app/go on", "") // the first one was here before
		if got := next(); !sameJSON(t, got, `{"outputs":[{"name":"n","data":[1,2],"datatype":"INT64","shape":[2]}]}`) {
			t.Error(got)
		}
		if got := next(); got != "end {}" {
			t.Error(got)
		}
		for what, want := range map[string]string{"raise": "KeyError: 'the reason'", "exit": "the function's process ended with exit code 3"} {
			_, next := c.events("/predict", call(what))
			next()
			next()
			kind, problem, _ := strings.Cut(next(), " ")
			var p struct{ Detail string }
			if err := json.Unmarshal([]byte(problem), &p); err != nil || kind != "problem" || p.Detail != want ||
				next() != "" {
				t.Errorf("%s: %s %s", what, kind, problem)
			}
		}
		if status, _ := c.events("/predict", call("refuse")); status != 500 {
			t.Errorf("%d", status)
		}
		status, next = c.events("/v2/models/leaf/infer", `{"inputs":[],"outputs":[{"name":"n"}],"id":"7"}`)
		if got := next(); status != 200 || !sameJSON(t, got, `{"model_name":"leaf","model_version":"1","id":"7","outputs":[{"name":"n","datatype":"INT64","shape":[2],"data":[1,2]}]}`) {
			t.Errorf("%d %s", status, got)
		}
		if got := next(); got != "end {}" {
			t.Error(got)
		}
		if a := c.predict(200, `{}`); len(a.Outputs) != 2 {
			t.Errorf("%s", a.body)
		}
	}
}

// A function that yields nothing has its outputs as events, too.
func TestEventsOfOtherFunctions(t *testing.T) {
	t.Parallel()
	c := start(t, `def f(): return {"a": [0.5] * 300, "b": "x"}`, "f").awaitReady()
	_, next := c.events("/predict", `{"output_fields":["b"]}`)
	if got := next(); !sameJSON(t, got, `{"outputs":[{"name":"b","data":"x","datatype":"str"}]}`) || next() != "end {}" {
		t.Error(got)
	}
	_, next = c.events("/predict", `{}`)
	if got := next(); strings.Count(got, "0.5") != 300 {
		t.Error(got)
	}
}
