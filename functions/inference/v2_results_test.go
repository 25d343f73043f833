package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/internal/caller"
)

func TestV2Results(t *testing.T) {
	t.Parallel()
	for name, python := range map[string][2]string{"numpy": {pythonWithNumpy(t), "-B"},
		"standard library": {"python3", "-S"}, "what the image has": {"python3", "-B"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startWith(t, python[0], python[1], resultSource, "f").awaitReady()
			call := func(want int, expression string, inBinary bool) inferAnswer {
				word, err := json.Marshal(expression)
				if err != nil {
					t.Fatal(err)
				}
				return c.infer(want, fmt.Sprintf(
					`{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"data":[%s]}],"parameters":{"binary_data_output":%t}}`, word, inBinary), 0)
			}
			all := resultsV2
			if name == "numpy" {
				all = append(append(all[:0:0], all...), resultsNumpy...)
			}
			for _, x := range all {
				want := `{"model_name":"leaf","model_version":"1","outputs":[{"name":"y",` + x.json[1:] + `]}`
				if a := call(200, x.python, false); !sameJSON(t, a.body, want) {
					t.Errorf("%s: %s, want %s", x.python, a.body, want)
				}
				a := call(200, x.python, true)
				if got, ok := a.binary["y"]; !ok || string(got) != x.raw {
					t.Errorf("%s: %q, want %q", x.python, got, x.raw)
				}
			}
			for _, x := range wrongV2 {
				if a := call(500, x.python, false); a.slug() != "invalid-result" || a.Detail != x.want {
					t.Errorf("%s: %s, want %s", x.python, a.body, x.want)
				}
			}
		})
	}
}

// Bytes that are no UTF-8 come as latin-1 text, all of a tensor's, and an output that says so goes
// out as the same bytes.
func TestV2BytesThatAreNoText(t *testing.T) {
	t.Parallel()
	c := start(t, `
def f(inputs):
    return inputs + [{"name": "seen", "data": [repr((v["data"], v.get("encoding"))) for v in inputs]}]
`, "f").awaitReady()
	raw := lengthPrefixed("\xff\x00", "п")
	head := fmt.Sprintf(
		`{"inputs":[{"name":"x","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":%d}}],"outputs":[{"name":"x","parameters":{"binary_data":true}},{"name":"seen"}]}`, len(raw))
	a := c.infer(200, head+raw, len(head))
	if string(a.binary["x"]) != raw || a.Outputs[1].Data.([]any)[0] != `(['ÿ\x00', 'Ð¿'], 'latin-1')` {
		t.Errorf("%q", a.body)
	}
}

// Calls by this protocol are calls as any other: who calls, deadlines, dying functions.
func TestV2IsCalledAsPredict(t *testing.T) {
	t.Parallel()
	source := `
import os, time
def f(inputs):
    """x

    :param inputs.w: what to do
    :type inputs.w: str
    """
    what = inputs[0]["data"]
    if what == "exit": os._exit(3)
    if what == "raise": raise KeyError("the reason")
    if what == "sleep": time.sleep(60)
    return later()
async def later(): return {"a": 1}
`
	c := start(t, source, "f").awaitReady()
	impatient := start(t, source, "f", func(o *setup) { o.timeout = time.Second }).awaitReady()
	call := func(what string) string {
		return `{"inputs":[{"name":"w","datatype":"BYTES","shape":[1],"data":["` + what + `"]}]}`
	}
	for _, x := range []struct {
		c      *component
		what   string
		status int
		slug   string
	}{{c, "exit", 502, "function-died"}, {c, "raise", 500, "function-error"}, {impatient, "sleep", 504, "timeout"}} {
		a := x.c.infer(x.status, call(x.what), 0)
		var p struct{ Detail, Error string }
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.slug() != x.slug || p.Error != p.Detail ||
			p.Error == "" {
			t.Errorf("%s: %s", x.what, a.body)
		}
		c.infer(200, call("nothing"), 0)
	}
	c.write("key", strings.Repeat("k", 32))
	if a := c.infer(401, call("x"), 0, caller.Header, "x.y.z"); a.status == 401 &&
		!strings.Contains(a.body, `"error":"`) {
		t.Errorf("%s", a.body)
	}
}
