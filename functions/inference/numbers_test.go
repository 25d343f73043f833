package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// numbersSeen answers with a sum of what its inputs look like to Python, the types of the elements included, and with how often the worker was given lists of numbers in binary.
const numbersSeen = `
import hashlib, unip_call
taken, original = [], unip_call.lists_of
def counting(body, lists):
    taken.append(len(lists))
    return original(body, lists)
unip_call.lists_of = counting

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

// A function gets the same lists whether the server has read their numbers or the worker has: the same body with an escape in a key is one that the server does not read.
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
					input := fmt.Sprintf(`{"name":"x","datatype":"%s","shape":[%d],"data":[%s]}`, map[bool]string{true: "INT64", false: "FP64"}[name == "integers" || name == "wide"], strings.Count(list, ",")+1, list)
					data, taken := seen(t, call(input))
					same, not := seen(t, call(strings.Replace(input, `"data"`, `"d\u0061ta"`, 1)))
					if data != same || taken != 1 || not != 0 {
						t.Errorf("%s, %s: %s with %d taken, %s with %d", name, path, data, taken, same, not)
					}
				}
			}
			// What is wrong with others of its inputs is said as ever.
			long := strings.Repeat("0.5,", 2000) + "1"
			a := c.predict(400, `{"inputs":[{"name":"a","data":[`+long+`]},{"data":1}]}`)
			if a.slug() != "invalid-request" || len(a.Errors) != 1 || a.Errors[0].Pointer != "/inputs/1/name" {
				t.Errorf("%.300s", a.body)
			}
			body := `{"inputs":[{"name":"a","data":[` + long
			if a := c.predict(400, body+`}]}`); a.slug() != "invalid-json" || !strings.Contains(a.Detail, fmt.Sprintf("(char %d)", len(body))) {
				t.Errorf("%.300s: the place is not that in the body", a.body)
			}
		})
	}
}

// A call may have long lists and files.
func TestLongListsOfNumbersBesideFiles(t *testing.T) {
	t.Parallel()
	s := newStorage(t, "visits")
	s.put(t, "visits", "users/ann/file_groups/in/a.txt", "text")
	c, _ := startFiles(t, numbersSeen, withBoxes(t, s, "visits"))
	body := `{"inputs":[{"name":"f","datatype":"FILE","data":"in/a.txt"},{"name":"x","data":[` + strings.Repeat("0.5,", 2000) + `1]}]}`
	data, taken := seen(t, c.predict(200, body, signed(t, "ann")...).body)
	if want := sum("['text', [" + strings.Repeat("0.5, ", 2000) + "1]]"); data != want || taken != 1 {
		t.Errorf("%s with %d taken, want %s", data, taken, want)
	}
}
