package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// numbersSeen answers with a sum of what its inputs look like to Python, the types of the elements
// included, and with how often the worker was given lists of numbers in binary.
const numbersSeen = `
import hashlib, unip_call
numbers = unip_call.beside("lists")
taken, original = [], numbers.unpack
def counting(body, lists):
    taken.append(len(lists))
    return original(body, lists)
numbers.unpack = counting

def f(inputs):
    n = sum(taken)
    taken.clear()
    if inputs[0].get("datatype") == "FILE":
        inputs[0]["data"] = open(inputs[0]["data"]).read()
    return [{"name": "seen", "datatype": "str", "data": hashlib.sha256(repr([v["data"] for v in inputs]).encode()).hexdigest()}, {"name": "taken", "datatype": "INT32", "data": [n]}]
`

// seen reads the answer of numbersSeen, in either protocol.
func seen(t *testing.T, body string) (data string, taken int) {
	t.Helper()
	var a struct {
		Outputs []struct{ Data any }
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil || len(a.Outputs) != 2 {
		t.Fatalf("%.500s: %v", body, err)
	}
	var n float64
	if _, err := fmt.Sscan(strings.Trim(fmt.Sprint(a.Outputs[1].Data), "[]"), &n); err != nil {
		t.Fatal(err)
	}
	return strings.Trim(fmt.Sprint(a.Outputs[0].Data), "[]"), int(n)
}

// A function gets the same lists whether the server has read their numbers or the worker has: the
// same body with an escape in a key is one that the server does not read.
func TestLongListsOfNumbers(t *testing.T) {
	t.Parallel()
	for name, flag := range map[string]string{"with what the image has": "-B", "with the standard library only": "-S"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startPython(t, flag, numbersSeen, "f").awaitReady()
			for name, list := range map[string]string{
				"floats":      strings.Repeat("0.1, -2.5e-3,1e22,3.0000000000000004,-0.0,", 500) + "1.0",
				"integers":    strings.Repeat("0,255,-7,", 1000) + "70000",
				"wide":        strings.Repeat("1,", 3000) + strings.Repeat("1234567890123456789,", 3000) + "1",
				"a few whole": strings.Repeat("1,0.5,0.25,-2.5,-3.75,", 500) + "9007199254740992",
			} {
				for path, call := range map[string]func(string) string{
					"predict": func(inputs string) string { return c.predict(200, `{"inputs":[`+inputs+`]}`).body },
					"infer":   func(inputs string) string { return c.infer(200, `{"inputs":[`+inputs+`]}`, 0).body },
				} {
					input := fmt.Sprintf(`{"name":"x","datatype":"%s","shape":[%d],"data":[%s]}`,
						map[bool]string{true: "INT64", false: "FP64"}[name == "integers" || name == "wide"],
						strings.Count(list, ",")+1, list)
					data, taken := seen(t, call(input))
					same, not := seen(t, call(strings.Replace(input, `"data"`, `"d\u0061ta"`, 1)))
					if data != same || taken != 1 || not != 0 {
						t.Errorf("%s, %s: %s with %d taken, %s with %d", name, path, data, taken, same, not)
					}
				}
			}
			// Without a datatype whole numbers among floats stay integers.
			few := `{"inputs":[{"name":"x","data":[` + strings.Repeat("1,0.5,0.25,-2.5,-3.75,", 500) + `7]}]}`
			data, taken := seen(t, c.predict(200, few).body)
			same, _ := seen(t, c.predict(200, strings.Replace(few, `"data"`, `"d\u0061ta"`, 1)).body)
			if data != same || taken != 1 {
				t.Errorf("without a datatype: %s with %d taken, %s", data, taken, same)
			}
			// What is wrong with others of its inputs is said as ever.
			long := strings.Repeat("0.5,", 2000) + "1"
			a := c.predict(400, `{"inputs":[{"name":"a","data":[`+long+`]},{"data":1}]}`)
			if a.slug() != "invalid-request" || len(a.Errors) != 1 || a.Errors[0].Pointer != "/inputs/1/name" {
				t.Errorf("%.300s", a.body)
			}
			body := `{"inputs":[{"name":"a","data":[` + long
			if a := c.predict(400, body+`}]}`); a.slug() != "invalid-json" ||
				!strings.Contains(a.Detail, fmt.Sprintf("(char %d)", len(body))) {
				t.Errorf("%.300s: the place is not that in the body", a.body)
			}
		})
	}
}

// numbersGiven answers with lists of numbers of every form, and the same once more in a form that
// the worker writes as JSON itself, as text.
const numbersGiven = `
import array, json
try:
    import numpy as np
except ImportError:
    np = None

import unip_call
numbers = unip_call.beside("lists")
placed, original = 0, numbers.place
def counting(*arguments):
    global placed
    found = original(*arguments)
    placed = len(found)
    return found
numbers.place = counting

def given(what):
    floats = [0.1 * i - 7 for i in range(1000)] + [1e-7, 1e22, -0.0, 3.0]
    if what == "floats": return floats
    if what == "nan": return floats + [float("nan"), float("inf")]
    if what == "mixed": return floats + [1]
    if what == "few": return floats[:10]
    if what == "integers": return list(range(-500, 500))
    if what == "tuple": return tuple(floats)
    if what == "nested": return [floats, floats]
    if np is None or what in ("placed", "nan elsewhere"): return floats
    if what == "float32": return np.array(floats, dtype="float32").reshape(2, -1)
    if what == "float64": return np.array(floats)
    if what == "numpy nan": return np.array(floats + [float("nan")])
    if what == "big-endian": return np.array(floats, dtype=">f8")
    if what == "bool": return np.array(floats) > 0
    if what == "strided": return np.array(floats)[::2]
    if what == "few of numpy": return np.array(floats[:10])
    if what == "none of numpy": return np.array([])
    if what == "masked": return np.ma.masked_where(np.arange(1004) % 3 == 0, np.array(floats))
    if what == "matrix": return np.matrix(floats)
    return np.arange(-500 if what[0] == "i" else 0, 500).astype(what)

def python(v):
    v = (v.A1 if hasattr(v, "A1") else v.ravel()).tolist() if hasattr(v, "ravel") else v
    if isinstance(v, (list, tuple)): return [python(x) for x in v]
    return None if isinstance(v, float) and v - v != 0 else v

def f(inputs):
    what = inputs[0]["data"]
    what = what[0] if isinstance(what, list) else what
    data = given(what)
    global placed
    if what == "placed": return [{"name": "placed", "data": placed}]
    placed = 0
    if what == "nan elsewhere": return [{"name": "data", "data": data}, {"name": "nan", "data": [float("nan")]}]
    more = [{"name": "file", "datatype": "FILE", "data": __file__}] if len(inputs) > 1 else []
    flat = data[0] + data[1] if what == "nested" else [float(x) for x in data] if what == "mixed" else data
    text = json.dumps(python(flat), separators=(",", ":"))
    return [{"name": "text", "datatype": "str", "data": text}, {"name": "data", "data": data}, {"name": "again", "data": data}] + more
`

// Answers have the same numbers, in the same words, whether the server has written them or the
// worker.
func TestLongListsOfNumbersAnswered(t *testing.T) {
	t.Parallel()
	inBinary := map[string]map[string]bool{"numpy": {}, "the standard library only": {}, "what the image has": {}}
	for _, what := range []string{"floats", "nan", "float32", "float64", "numpy nan", "strided", "int8", "int16",
		"int32", "int64", "uint8", "uint16", "uint32", "uint64", "mixed", "tuple", "nested", "masked", "matrix"} {
		inBinary["numpy"][what] = true
	}
	// without numpy the list of floats
	for _, what := range []string{"floats", "nan", "float32", "float64", "numpy nan", "big-endian", "bool", "strided",
		"few of numpy", "none of numpy", "masked", "matrix", "int8", "int16", "int32", "int64", "uint8", "uint16",
		"uint32", "uint64", "mixed", "tuple", "nested"} {
		inBinary["the standard library only"][what] = true
	}
	for name, python := range map[string][]string{"numpy": {pythonWithNumpy(t), "-B"},
		"the standard library only": {"python3", "-S"}, "what the image has": {"python3", "-B"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startWith(t, python[0], python[1], numbersGiven, "f").awaitReady()
			for _, what := range []string{
				"floats", "nan", "mixed", "few", "integers", "tuple", "nested", "float32", "float64", "numpy nan",
				"big-endian", "bool", "strided", "few of numpy", "none of numpy", "masked", "matrix",
				"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
			} {
				a := c.predict(200, `{"inputs":[{"name":"w","data":"`+what+`"}]}`)
				if len(a.Outputs) != 3 {
					t.Errorf("%s: %.300s", what, a.body)
					continue
				}
				text := fmt.Sprint(a.Outputs[0].Data)
				var want any
				if err := json.Unmarshal([]byte(text), &want); err != nil {
					t.Fatal(err)
				}
				// orjson, where the image has it, writes other words than json.
				if name != "what the image has" && strings.Count(a.body, `"data":`+text) != 2 ||
					!reflect.DeepEqual(a.Outputs[1].Data, want) || !reflect.DeepEqual(a.Outputs[2].Data, want) {
					t.Errorf("%s: %.300s, want twice %.300s", what, a.body, text)
				}
				n := c.predict(200, `{"inputs":[{"name":"w","data":"placed"}]}`).number()
				if want := map[bool]float64{true: 2}[inBinary[name][what]]; n != want {
					t.Errorf("%s: %v lists went in binary, want %v", what, n, want)
				}
				if n := a.header.Get("Content-Length"); n != fmt.Sprint(len(a.body)) {
					t.Errorf("%s: Content-Length %q of %d", what, n, len(a.body))
				}
				// infer has its own rules for these
				if what == "nested" || what == "none of numpy" || what == "masked" || what == "matrix" {
					continue
				}
				v2 := c.infer(200, `{"inputs":[{"name":"w","datatype":"BYTES","shape":[1],"data":["`+what+`"]}]}`,
					0).body
				if name != "what the image has" && strings.Count(v2, `"data":`+text) != 2 {
					t.Errorf("%s, infer: %.600s, want twice %.300s", what, v2, text)
				}
			}
		})
	}
}

// A long answer comes in pieces, whole.
func TestLongListsOfNumbersAnsweredInPieces(t *testing.T) {
	t.Parallel()
	c := startPython(t, "-S",
		`def f(): return [{"name": "a", "data": [i + 0.5 for i in range(1000000)]}, {"name": "b", "datatype": "str", "data": "end"}]`, "f").awaitReady()
	a := c.predict(200, `{}`)
	if len(a.Outputs) != 2 || a.Outputs[1].Data != "end" {
		t.Fatalf("%.300s", a.body)
	}
	data, _ := a.Outputs[0].Data.([]any)
	for i, x := range data {
		if x != float64(i)+0.5 {
			t.Fatalf("%v at %d", x, i)
		}
	}
	if len(data) != 1000000 || a.header.Get("Content-Length") != "" {
		t.Errorf("%d numbers, Content-Length %q", len(data), a.header.Get("Content-Length"))
	}
	eventually(t, "the line of the access log", func() bool {
		return strings.Contains(c.log.String(),
			fmt.Sprintf(`"bytes":%d`, len(a.body)))
	})
	c = startPython(t, "-S", numbersGiven, "f").awaitReady()
	if a := c.predict(200, `{"inputs":[{"name":"w","data":"nan elsewhere"}]}`); len(a.Outputs) != 2 ||
		!reflect.DeepEqual(a.Outputs[1].Data, []any{nil}) {
		t.Errorf("%.300s", a.body)
	}
	// There are bounds to what goes in binary; the rest is written by the worker.
	for _, bound := range []string{"MOST_LISTS = 1", "MOST_BYTES = 8100"} {
		c = startPython(t, "-S", numbersGiven+"numbers."+bound, "f").awaitReady()
		a := c.predict(200, `{"inputs":[{"name":"w","data":"nan"}]}`)
		if len(a.Outputs) != 3 || strings.Count(a.body, `"data":`+fmt.Sprint(a.Outputs[0].Data)) != 2 {
			t.Errorf("%s: %.300s", bound, a.body)
		}
		if n := c.predict(200, `{"inputs":[{"name":"w","data":"placed"}]}`).number(); n != 1 {
			t.Errorf("%s: %v lists went in binary", bound, n)
		}
	}
}
