package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

const inferPath = "/v2/models/leaf/infer"

// pythonWithNumpy is an interpreter that has numpy: the first python3 of the path, or Debian's.
func pythonWithNumpy(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import numpy").Run() == nil {
			return python
		}
	}
	t.Fatal("no Python with numpy: apt-get install python3-numpy")
	return ""
}

// inferAnswer is an answer of infer, its binary tensors cut out.
type inferAnswer struct {
	answer
	binary map[string][]byte // by name of the output
	head   string            // the JSON
}

// request is the body of an infer request and the length of the JSON in it, 0 when it is all of it.
func (c *component) infer(want int, body string, head int, header ...string) inferAnswer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url+inferPath, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if head > 0 {
		req.Header.Set("Inference-Header-Content-Length", strconv.Itoa(head))
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := inferAnswer{answer: answer{status: resp.StatusCode, header: resp.Header, body: string(b)},
		binary: map[string][]byte{}}
	if a.status != want {
		c.t.Errorf("%.200s: %d %.500s, want %d", body, a.status, a.body, want)
	}
	rest := b
	if n := resp.Header.Get("Inference-Header-Content-Length"); n != "" {
		size, err := strconv.Atoi(n)
		if err != nil || size > len(b) || resp.Header.Get("Content-Type") != "application/octet-stream" {
			c.t.Fatalf("header %s of %d bytes, %s", n, len(b), resp.Header.Get("Content-Type"))
		}
		b, rest = b[:size], b[size:]
	} else {
		rest = nil
	}
	a.head = string(b)
	if err := json.Unmarshal(b, &a); err != nil {
		c.t.Fatalf("%s: %v", b, err)
	}
	var sizes struct {
		Outputs []struct {
			Name       string
			Parameters struct {
				Size *int `json:"binary_data_size"`
			}
		}
	}
	_ = json.Unmarshal(b, &sizes) // has been read before
	for _, o := range sizes.Outputs {
		if o.Parameters.Size != nil {
			a.binary[o.Name], rest = rest[:*o.Parameters.Size], rest[*o.Parameters.Size:]
		}
	}
	if len(rest) > 0 {
		c.t.Errorf("%d bytes follow the tensors", len(rest))
	}
	return a
}

const describedEcho = `
def echo(inputs):
    """Answers with its inputs.

    :param inputs.image: pixels
    :type inputs.image: FP32 or INT32, optional
    :param inputs.hint: a word
    :type inputs.hint: str, optional
    :param inputs.options: more
    :type inputs.options: dict, optional
    :param inputs.raw: bytes
    :type inputs.raw: BYTES, optional
    :param outputs.image: the same
    :type outputs.image: FP32
    """
    return inputs
`

func TestV2Endpoints(t *testing.T) {
	t.Parallel()
	c := start(t, describedEcho, "echo").awaitReady()
	metadata := `{"name":"leaf","versions":["1"],"platform":"python","inputs":[{"name":"image","datatype":"FP32","shape":[-1]},{"name":"hint","datatype":"BYTES","shape":[-1]},
		{"name":"options","datatype":"BYTES","shape":[1]},{"name":"raw","datatype":"BYTES","shape":[-1]}],"outputs":[{"name":"image","datatype":"FP32","shape":[-1]}]}`
	for path, want := range map[string]string{
		"/v2":                              `{"name":"unip","version":"v1","extensions":["binary_tensor_data"]}`,
		"/v2/":                             `{"name":"unip","version":"v1","extensions":["binary_tensor_data"]}`,
		"/v2/health/live":                  `{"live":true}`,
		"/v2/health/ready":                 `{"live":true,"ready":true}`,
		"/v2/models/leaf":                  metadata,
		"/v2/models/leaf/versions/1":       metadata,
		"/v2/models/leaf/ready":            `{"name":"leaf","ready":true}`,
		"/v2/models/leaf/versions/1/ready": `{"name":"leaf","ready":true}`,
	} {
		if status, header, body := c.get(http.MethodGet, path); status != 200 || !sameJSON(t, body, want) ||
			header.Get("Content-Type") != "application/json" {
			t.Errorf("GET %s: %d %s, want %s", path, status, body, want)
		}
		if status, _, body := c.get(http.MethodHead, path); status != 200 || body != "" {
			t.Errorf("HEAD %s: %d %s", path, status, body)
		}
		if status, header, body := c.get(http.MethodPost, path); status != 405 || header.Get("Allow") != "GET, HEAD" ||
			!strings.Contains(body, `"error":"the path has only GET, HEAD"`) {
			t.Errorf("POST %s: %d %s", path, status, body)
		}
	}
	for path, want := range map[string]string{
		"/v2/models/other":                   "there is no such model; this component is the model leaf",
		"/v2/models/other/ready":             "there is no such model; this component is the model leaf",
		"/v2/models/leaf/versions/2":         "there is no such version; leaf has the version 1",
		"/v2/models/leaf/versions/2/ready":   "there is no such version; leaf has the version 1",
		"/v2/models":                         "there are POST /predict, GET /openapi.json and the Open Inference Protocol below /v2",
		"/v2/models/leaf/config":             "there are POST /predict, GET /openapi.json and the Open Inference Protocol below /v2",
		"/v2/health":                         "there are POST /predict, GET /openapi.json and the Open Inference Protocol below /v2",
		"/v2/models/leaf/versions/1/1/infer": "there are POST /predict, GET /openapi.json and the Open Inference Protocol below /v2",
	} {
		status, header, body := c.get(http.MethodGet, path)
		var p struct{ Detail, Error string }
		if err := json.Unmarshal([]byte(body), &p); err != nil || status != 404 || p.Detail != want ||
			p.Error != want || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
	if status, header, _ := c.get(http.MethodGet, inferPath); status != 405 || header.Get("Allow") != "POST" {
		t.Errorf("GET infer: %d", status)
	}
}

// get is any call without a body.
func (c *component) get(method, path string) (int, http.Header, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func TestV2BeforeTheFunctionIsImported(t *testing.T) {
	t.Parallel()
	c := start(t, "import time; time.sleep(3600)\ndef f(): return []", "f")
	eventually(t, "the server", func() bool {
		resp, err := http.Get(c.url + "/v2/health/live")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
	for _, path := range []string{"/v2/health/ready", "/v2/models/leaf", "/v2/models/leaf/ready"} {
		if status, _, body := c.get(http.MethodGet, path); status != 503 ||
			!strings.Contains(body, `"error":"the function is not imported yet"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// le is values in the form of binary tensors.
func le(values any) string {
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, values); err != nil {
		panic(err)
	}
	return b.String()
}

func lengthPrefixed(values ...string) string {
	var b strings.Builder
	for _, v := range values {
		b.WriteString(le(uint32(len(v))) + v)
	}
	return b.String()
}

// tensors holds three elements of each datatype, in binary and as JSON.
var tensors = []struct{ kind, raw, json string }{
	{"BOOL", "\x01\x00\x01", `[true,false,true]`},
	{"INT8", le([]int8{math.MinInt8, 0, math.MaxInt8}), `[-128,0,127]`},
	{"INT16", le([]int16{math.MinInt16, 0, math.MaxInt16}), `[-32768,0,32767]`},
	{"INT32", le([]int32{math.MinInt32, 0, math.MaxInt32}), `[-2147483648,0,2147483647]`},
	{"INT64", le([]int64{math.MinInt64, 0, math.MaxInt64}), `[-9223372036854775808,0,9223372036854775807]`},
	{"UINT8", le([]uint8{0, 1, math.MaxUint8}), `[0,1,255]`},
	{"UINT16", le([]uint16{0, 1, math.MaxUint16}), `[0,1,65535]`},
	{"UINT32", le([]uint32{0, 1, math.MaxUint32}), `[0,1,4294967295]`},
	{"UINT64", le([]uint64{0, 1, math.MaxUint64}), `[0,1,18446744073709551615]`},
	{"FP16", le([]uint16{0x3e00, 0xc000, 0x7bff}), `[1.5,-2.0,65504.0]`},
	{"BF16", le([]uint16{0x3fc0, 0xc000, 0x3e20}), `[1.5,-2.0,0.15625]`},
	{"FP32", le([]float32{1.5, -2, 0.15625}), `[1.5,-2.0,0.15625]`},
	{"FP64", le([]float64{1.5, -2, 1e300}), `[1.5,-2.0,1e300]`},
	{"BYTES", lengthPrefixed("привет", "", "\x00x"), `["привет","","\u0000x"]`},
}

const echoV2 = "def echo(inputs): return inputs\n"

// Every datatype goes in and comes out as JSON and in binary, in an image with numpy and in one
// without it.
func TestV2RoundTrips(t *testing.T) {
	t.Parallel()
	for name, python := range map[string][2]string{"numpy": {pythonWithNumpy(t), "-B"},
		"standard library": {"python3", "-S"}, "what the image has": {"python3", "-B"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startWith(t, python[0], python[1], echoV2, "echo").awaitReady()
			for _, x := range tensors {
				asJSON := fmt.Sprintf(`{"name":"x","datatype":%q,"shape":[3,1],"data":%s}`, x.kind, x.json)
				inBinary := fmt.Sprintf(`{"name":"x","datatype":%q,"shape":[3,1],"parameters":{"binary_data_size":%d}}`,
					x.kind, len(x.raw))
				for _, wanted := range []bool{false, true} {
					for _, given := range []bool{false, true} {
						input, tail, head := asJSON, "", 0
						body := func() string {
							return fmt.Sprintf(
								`{"id":"7","inputs":[%s],"outputs":[{"name":"x","parameters":{"binary_data":%t}}]}`,
								input, wanted)
						}
						if given {
							input, tail = inBinary, x.raw
							head = len(body())
						}
						a := c.infer(200, body()+tail, head)
						want := `{"id":"7","model_name":"leaf","model_version":"1","outputs":[` +
							map[bool]string{false: asJSON, true: inBinary}[wanted] + `]}`
						if !sameJSON(t, a.head, want) {
							t.Errorf("%s, in binary %t, out binary %t: %s, want %s", x.kind, given, wanted, a.head,
								want)
						}
						if got, ok := a.binary["x"]; ok != wanted || wanted && string(got) != x.raw {
							t.Errorf("%s, in binary %t, out binary %t: %x, want %x", x.kind, given, wanted, got, x.raw)
						}
					}
				}
			}
		})
	}
}

const looking = `
def look(inputs):
    seen = []
    for v in inputs:
        d = v["data"]
        kind = type(d).__name__
        if kind == "ndarray":
            kind += " %s %dd%s%s%s" % (d.dtype, d.ndim, "" if d.flags.writeable else " read-only", "" if d.flags.owndata else " view", " aligned" if d.flags.aligned else "")
        if kind == "memoryview":
            kind += " %s%s" % (d.format, " read-only" if d.readonly else "")
        seen.append("%s: %s of %d, first %s" % (v["datatype"], kind, len(d), d[0]))
    return {"seen": seen}
`

// What came in binary is not taken apart; a tensor is aligned whatever stands before it.
func TestV2FunctionSeesTheBytesInPlace(t *testing.T) {
	t.Parallel()
	inputs := `{"inputs":[{"name":"a","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}},{"name":"b","datatype":"BOOL","shape":[1],"parameters":{"binary_data_size":1}},
		{"name":"c","datatype":"INT64","shape":[2],"parameters":{"binary_data_size":16}},{"name":"d","datatype":"FP16","shape":[1],"parameters":{"binary_data_size":2}},
		{"name":"e","datatype":"BF16","shape":[1],"parameters":{"binary_data_size":2}},{"name":"f","datatype":"FP64","shape":[1,2],"data":[[1,2]]}]}`
	tail := le([]float32{1, 2}) + "\x01" + le([]int64{3, 4}) + le(uint16(0x3c00)) + le(uint16(0x3f80))
	for name, x := range map[string]struct{ python, flag, want string }{
		"numpy": {pythonWithNumpy(t), "-B",
			`["FP32: ndarray float32 1d read-only view aligned of 2, first 1.0","BOOL: ndarray bool 1d read-only view aligned of 1, first True",
			"INT64: ndarray int64 1d read-only aligned of 2, first 3","FP16: ndarray float16 1d read-only aligned of 1, first 1.0","BF16: ndarray float32 1d read-only view aligned of 1, first 1.0",
			"FP64: list of 2, first 1.0"]`},
		"standard library": {"python3", "-S",
			`["FP32: memoryview f read-only of 2, first 1.0","BOOL: memoryview ? read-only of 1, first True","INT64: memoryview q read-only of 2, first 3",
			"FP16: array of 1, first 1.0","BF16: memoryview f read-only of 1, first 1.0","FP64: list of 2, first 1.0"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startWith(t, x.python, x.flag, looking, "look").awaitReady()
			for blanks := range 17 { // wherever the JSON ends
				head := inputs + strings.Repeat(" ", blanks)
				a := c.infer(200, head+tail, len(head))
				if got, err := json.Marshal(a.Outputs[0].Data); err != nil || !sameJSON(t, string(got), x.want) {
					t.Fatalf("%d blanks: %s, want %s", blanks, got, x.want)
				}
			}
		})
	}
}

func TestV2LargeTensor(t *testing.T) {
	t.Parallel()
	numbers := make([]float32, 10<<18) // 10 MiB
	for i := range numbers {
		numbers[i] = float32(i)
	}
	raw := le(numbers)
	for name, python := range map[string][2]string{"numpy": {pythonWithNumpy(t), "-B"},
		"standard library": {"python3", "-S"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startWith(t, python[0], python[1], echoV2, "echo").awaitReady()
			head := fmt.Sprintf(
				`{"inputs":[{"name":"x","datatype":"FP32","shape":[%d],"parameters":{"binary_data_size":%d}}],"parameters":{"binary_data_output":true}}`, len(numbers), len(raw))
			if a := c.infer(200, head+raw, len(head)); string(a.binary["x"]) != raw ||
				a.header.Get("Content-Length") != strconv.Itoa(len(a.body)) {
				t.Errorf("%d bytes did not come back whole: %s", len(raw), a.head)
			}
		})
	}
}

// The platform's str and dict, as the docstring names them, come as BYTES of one element, and go as
// such.
func TestV2TextAsTheDocstringHasIt(t *testing.T) {
	t.Parallel()
	c := start(t, describedEcho+`
def seen(inputs):
    """Says what it got.

    :param inputs.hint: a word
    :type inputs.hint: str
    :param inputs.options: more
    :type inputs.options: dict, optional
    :param inputs.file: a file
    :type inputs.file: FILE, optional
    """
    return {"seen": [repr((v["datatype"], v["data"])) for v in inputs]}
`, "seen").awaitReady()
	a := c.infer(200,
		`{"inputs":[{"name":"hint","datatype":"BYTES","shape":[1],"data":["привет"]},{"name":"hint","datatype":"BYTES","shape":[1,1],"data":[["x"]]},
		{"name":"hint","datatype":"BYTES","shape":[2],"data":["a","b"]},{"name":"options","datatype":"BYTES","shape":[1],"data":["{\"a\":1}"]},{"name":"other","datatype":"BYTES","shape":[1],"data":["z"]}]}`, 0)
	want := `["('str', 'привет')","('str', 'x')","('str', ['a', 'b'])","('dict', {'a': 1})","('BYTES', ['z'])"]`
	if got, err := json.Marshal(a.Outputs[0].Data); err != nil || !sameJSON(t, string(got), want) {
		t.Errorf("%s, want %s", got, want)
	}
	for body, want := range map[string]string{
		`{"inputs":[{"name":"options","datatype":"BYTES","shape":[1],"data":["{"]}]}`:  "/inputs/0/data",
		`{"inputs":[{"name":"file","datatype":"BYTES","shape":[1],"data":["a/b.c"]}]}`: "/inputs/0/datatype",
	} {
		if a := c.infer(400, body, 0); len(a.Errors) != 1 || a.Errors[0].Pointer != want {
			t.Errorf("%s: %s", body, a.body)
		}
	}
}

func TestV2ArgumentsAndRequestedOutputs(t *testing.T) {
	t.Parallel()
	c := start(t, `
def f(parameters, output_fields, model_key):
    return [{"name": "seen", "datatype": "dict", "data": {"p": parameters, "o": output_fields, "k": model_key}}, {"name": "b", "datatype": "INT32", "data": [1, 2]}, {"name": "c", "data": [0.5]}]
`, "f").awaitReady()
	a := c.infer(200, `{"inputs":[],"parameters":{"depth":3},"outputs":[{"name":"seen"}]}`, 0)
	want := `["{\"p\": {\"depth\": 3}, \"o\": [{\"name\": \"seen\"}], \"k\": null}"]`
	if got, err := json.Marshal(a.Outputs[0].Data); err != nil || string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
	if a := c.infer(200, `{"inputs":[]}`, 0); len(a.Outputs) != 3 ||
		a.Outputs[0].Data.([]any)[0] != `{"p": [], "o": [], "k": null}` {
		t.Errorf("%s", a.body)
	}
	a = c.infer(200,
		`{"inputs":[],"parameters":{"binary_data_output":true},"outputs":[{"name":"c","parameters":{"binary_data":false}},{"name":"b"}]}`, 0)
	if !sameJSON(t, a.head,
		`{"model_name":"leaf","model_version":"1","outputs":[{"name":"c","datatype":"FP64","shape":[1],"data":[0.5]},
		{"name":"b","datatype":"INT32","shape":[2],"parameters":{"binary_data_size":8}}]}`) ||
		string(a.binary["b"]) != le([]int32{1, 2}) {
		t.Errorf("%q", a.body)
	}
	if a := c.infer(400, `{"inputs":[],"outputs":[{"name":"b"},{"name":"d"}]}`,
		0); a.Errors[0].Pointer != "/outputs/1/name" ||
		a.Detail != "there is no output d; the function gave seen, b, c" {
		t.Errorf("%s", a.body)
	}
	for _, body := range []string{
		`{"inputs":[],"parameters":null,"outputs":null,"id":null,"unknown":1,"model_name":"x"}`,
		`{"inputs":[],"outputs":[]}`} {
		c.infer(200, body, 0)
	}
}

// results of functions: an expression, what is answered in JSON, and what in binary.
var resultsV2 = []struct{ python, json, raw string }{
	{`[1, 2]`, `{"datatype":"INT64","shape":[2],"data":[1,2]}`, le([]int64{1, 2})},
	{`[1, 2.5]`, `{"datatype":"FP64","shape":[2],"data":[1,2.5]}`, le([]float64{1, 2.5})},
	{`[True]`, `{"datatype":"BOOL","shape":[1],"data":[true]}`, "\x01"},
	{`[[1, 2], [3, 4]]`, `{"datatype":"INT64","shape":[2,2],"data":[1,2,3,4]}`, le([]int64{1, 2, 3, 4})},
	{`(1.0, float("nan"))`, `{"datatype":"FP64","shape":[2],"data":[1,null]}`,
		le([]uint64{0x3ff0000000000000, 0x7ff8000000000000})},
	{`7`, `{"datatype":"INT64","shape":[1],"data":[7]}`, le(int64(7))},
	{`0.5`, `{"datatype":"FP64","shape":[1],"data":[0.5]}`, le(0.5)},
	{`"text"`, `{"datatype":"BYTES","shape":[1],"data":["text"]}`, lengthPrefixed("text")},
	{`["a", b"\xff"]`, `{"datatype":"BYTES","shape":[2],"data":["a","ÿ"]}`, lengthPrefixed("a", "\xff")},
	{`b"\xd0\xbf"`, `{"datatype":"BYTES","shape":[1],"data":["п"]}`, lengthPrefixed("п")},
	{`{"a": [1]}`,
		`{"datatype":"BYTES","shape":[1],"parameters":{"content_type":"application/json"},"data":["{\"a\": [1]}"]}`,
		lengthPrefixed(`{"a": [1]}`)},
	{`[]`, `{"datatype":"FP64","shape":[0],"data":[]}`, ""},
	{`array.array("f", [1, 2])`, `{"datatype":"FP32","shape":[2],"data":[1,2]}`, le([]float32{1, 2})},
	{`array.array("l", [1])`, `{"datatype":"INT64","shape":[1],"data":[1]}`, le(int64(1))},
	{`memoryview(array.array("d", [1, 2])).cast("B").cast("d", (2, 1))`,
		`{"datatype":"FP64","shape":[2,1],"data":[1,2]}`, le([]float64{1, 2})},
	{`memoryview(array.array("h", [1, 2, 3]))[::2]`, `{"datatype":"INT64","shape":[2],"data":[1,3]}`,
		le([]int64{1, 3})},
	{`V([1, 2], "FP32")`, `{"datatype":"FP32","shape":[2],"data":[1,2]}`, le([]float32{1, 2})},
	{`V([1, 2], "INT8", 2)`, `{"datatype":"INT8","shape":[2],"data":[1,2]}`, le([]int8{1, 2})},
	{`V([1.0, True], "INT8", [1, 2])`, `{"datatype":"INT8","shape":[1,2],"data":[1,1]}`, le([]int8{1, 1})},
	{`V([1, 0.0], "BOOL")`, `{"datatype":"BOOL","shape":[2],"data":[true,false]}`, "\x01\x00"},
	{`V([0.1, 2], "FP16")`, `{"datatype":"FP16","shape":[2],"data":[0.1,2]}`, le([]uint16{0x2e66, 0x4000})},
	{`V([1.00390625, 1.01171875, 3.4e38, float("inf"), float("nan")], "BF16")`,
		`{"datatype":"BF16","shape":[5],"data":[1.00390625,1.01171875,3.4e38,null,null]}`,
		le([]uint16{0x3f80, 0x3f82, 0x7f80, 0x7f80, 0x7fc0})},
	{`V("text", "str", 0)`, `{"datatype":"BYTES","shape":[1],"data":["text"]}`, lengthPrefixed("text")},
	{`V(["a", "b"], "str")`, `{"datatype":"BYTES","shape":[2],"data":["a","b"]}`, lengthPrefixed("a", "b")},
	{`V([1, 2], "dict")`,
		`{"datatype":"BYTES","shape":[1],"parameters":{"content_type":"application/json"},"data":["[1, 2]"]}`,
		lengthPrefixed(`[1, 2]`)},
	{`[[1], [2, 3]]`,
		`{"datatype":"BYTES","shape":[1],"parameters":{"content_type":"application/json"},"data":["[[1], [2, 3]]"]}`,
		lengthPrefixed(`[[1], [2, 3]]`)},
	{`V(bytearray(b"xy"), "BYTES")`, `{"datatype":"BYTES","shape":[1],"data":["xy"]}`, lengthPrefixed("xy")},
	{`V(memoryview(b"xy"), "BYTES")`, `{"datatype":"BYTES","shape":[1],"data":["xy"]}`, lengthPrefixed("xy")},
	{`V(memoryview(b"xy"), "UINT8")`, `{"datatype":"UINT8","shape":[2],"data":[120,121]}`, "xy"},
	{`dict(V([1], "INT8"), content_type="a/b", parameters={"k": "v"})`,
		`{"datatype":"INT8","shape":[1],"parameters":{"k":"v","content_type":"a/b"},"data":[1]}`, "\x01"},
}

var resultsNumpy = []struct{ python, json, raw string }{
	{`np.array([[1, 2], [3, 4]], "float32")`, `{"datatype":"FP32","shape":[2,2],"data":[1,2,3,4]}`,
		le([]float32{1, 2, 3, 4})},
	{`np.array([[1, 2], [3, 4]], "int16").T`, `{"datatype":"INT16","shape":[2,2],"data":[1,3,2,4]}`,
		le([]int16{1, 3, 2, 4})},
	{`np.array([1, 2], ">i4")`, `{"datatype":"INT32","shape":[2],"data":[1,2]}`, le([]int32{1, 2})},
	{`np.float32(0.5)`, `{"datatype":"FP32","shape":[1],"data":[0.5]}`, le(float32(0.5))},
	{`[np.float32(0.5), np.float32(2)]`, `{"datatype":"FP64","shape":[2],"data":[0.5,2]}`, le([]float64{0.5, 2})},
	{`[np.arange(2), np.arange(2)]`, `{"datatype":"INT64","shape":[2,2],"data":[0,1,0,1]}`, le([]int64{0, 1, 0, 1})},
	{`np.array(["a", "bc"])`, `{"datatype":"BYTES","shape":[2],"data":["a","bc"]}`, lengthPrefixed("a", "bc")},
	{`np.array([True, False])`, `{"datatype":"BOOL","shape":[2],"data":[true,false]}`, "\x01\x00"},
	{`np.zeros((0, 4))`, `{"datatype":"FP64","shape":[0,4],"data":[]}`, ""},
	{`np.array([1, float("nan")])`, `{"datatype":"FP64","shape":[2],"data":[1,null]}`,
		le([]uint64{0x3ff0000000000000, 0x7ff8000000000000})},
	{`V(np.array([5, 6]), "INT32")`, `{"datatype":"INT32","shape":[2],"data":[5,6]}`, le([]int32{5, 6})},
	{`V(np.array([1, 2]), "FP16", [2, 1])`, `{"datatype":"FP16","shape":[2,1],"data":[1,2]}`,
		le([]uint16{0x3c00, 0x4000})},
	{`V(np.array([1.5, 2.0]), "BF16")`, `{"datatype":"BF16","shape":[2],"data":[1.5,2]}`, le([]uint16{0x3fc0, 0x4000})},
	{`V(np.array([1.0, 0.0]), "BOOL")`, `{"datatype":"BOOL","shape":[2],"data":[true,false]}`, "\x01\x00"},
	{`{"a": np.arange(2), "b": np.float32(1)}`,
		`{"datatype":"BYTES","shape":[1],"parameters":{"content_type":"application/json"},"data":["{\"a\": [0, 1], \"b\": 1.0}"]}`, lengthPrefixed(`{"a": [0, 1], "b": 1.0}`)},
}

// wrongV2 are results that are no tensors, and what is said of them.
var wrongV2 = []struct{ python, want string }{
	{`V(None, "str")`, "output y of the function is None, and its datatype is str; an output that may be missing is optional in the docstring"},
	{`V(None, "INT8")`, "output y of the function is None, and its datatype is INT8; an output that may be missing is optional in the docstring"},
	{`[object()]`, "output y of the function has a value of the type object, which has no plain form"},
	{`object()`, "output y of the function has a value of the type object, which has no plain form"},
	{`V([[1], [2, 3]], "FP32")`, "output y of the function has nested data whose rows are not alike"},
	{`V([[1], 2], "INT8")`, "output y of the function has nested data whose rows are not alike"},
	{`V(["a"], "FP32")`, "output y of the function must have numbers as data of FP32"},
	{`V([1.5], "INT32")`, "output y of the function has the number 1.5 where integers are"},
	{`V([300], "UINT8")`, "output y of the function has a number that is no UINT8"},
	{`V([-1], "UINT64")`, "output y of the function has a number that is no UINT64"},
	{`V([2], "BOOL")`, "output y of the function has a number that is no BOOL"},
	{`V([[1, "a"], {}], "str")`, "output y of the function has nested data whose rows are not alike"},
	{`V(["a", None], "str")`, "output y of the function must have strings as data of str, and has None"},
	{`V({"a": 1}, "BYTES")`, "output y of the function must have strings as data of BYTES, and has {'a': 1}"},
	{`V([1], "float")`, "output y of the function has the datatype 'float', which cannot be answered here"},
	{`V("a/b", "FILE")`, "output y of the function has the datatype 'FILE', which cannot be answered here"},
	{`V([1, 2], "INT32", [3])`, "output y of the function has the shape [3] and 2 elements"},
	{`V([1, 2], "INT32", [-1, -2])`, "output y of the function has the shape [-1, -2] and 2 elements"},
	{`V([1, 2], "INT32", 0)`, "output y of the function has the shape 0 and 2 elements"},
	{`{"a": object()}`, "output y of the function has a value of the type object, which has no plain form"},
}

const resultSource = `
import array
try:
    import numpy as np
except ImportError:
    pass
def V(data, datatype, shape=None):
    v = {"name": "y", "datatype": datatype, "data": data}
    return v if shape is None else dict(v, shape=shape)
def f(inputs):
    r = eval(inputs[0]["data"][0])
    return [r if isinstance(r, dict) and "data" in r else {"name": "y", "data": r}]
`
