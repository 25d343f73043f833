package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// typed are lists of datatypes as docstrings have them; none is a variable without a type.
var typed = [][]string{
	{}, {"FP32"}, {"FP64"}, {"INT32"}, {"str"}, {"dict"}, {"BOOL"}, {"BYTES"}, {"FP16"}, {"BF16"}, {"INT8"}, {"INT16"},
	{"INT64"}, {"UINT8"}, {"UINT16"}, {"UINT32"}, {"UINT64"}, {"FP32", "FP64", "INT32"}, {"INT32", "FP32"},
	{"str", "dict"}, {"dict", "str"}, {"FP64", "str"}, {"str", "FP32"}, {"BYTES", "INT32"},
}

// described is a docstring with an optional variable for each of typed.
func described(side string) string {
	doc := ""
	for i, types := range typed {
		doc += fmt.Sprintf("    :param %s.v%d: x\n", side, i)
		if len(types) > 0 {
			doc += fmt.Sprintf("    :type %s.v%d: %s, optional\n", side, i, strings.Join(types, " or "))
		}
	}
	return "    \"\"\"Views.\n\n" + doc + "    \"\"\"\n"
}

// values are what functions return.
var values = []string{
	`None`, `[1, True, "a"]`, `[2**70, 0.1]`,
	`1`, `1.0`, `0.5`, `-1`, `300`, `2**40`, `2**63`, `10**30`, `True`, `"oak"`, `b"oak"`, `""`, `float("nan")`,
	`[]`, `[1, 2]`, `[1.0, 2]`, `[0.5]`, `(1, 2)`, `[True, False]`, `["a", "b"]`, `[b"a", "b"]`, `[[1, 2], [3, 4]]`,
	`[[1], [2, 3]]`, `[1, "a"]`, `[None, 1.5]`, `[None]`, `[{"a": 1}]`, `{"a": 1}`, `{1: {2.5: None}}`, `{}`,
	`{(1, 2): 3}`,
	`range(3)`, `{7}`, `map(str, [1, 2])`, `(x for x in [1, "a"])`, `{"a": 1}.keys()`, `collections.deque([1])`,
	`collections.Counter("aab")`, `array.array("f", [1, 2])`, `memoryview(b"ab")`, `bytearray(b"ab")`,
	`decimal.Decimal("1.50")`, `fractions.Fraction(1, 2)`, `datetime.date(2026, 1, 1)`,
	`datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)`, `datetime.time(1, 2)`, `datetime.timedelta(1)`,
	`uuid.UUID(int=5)`, `pathlib.Path("/a/b")`, `Tree.OAK`, `[Tree.OAK, Tree.ELM]`, `Size.BIG`, `Leaf()`,
	`[Leaf(), Leaf()]`,
	`Pair("oak", 0.5)`, `Text("oak")`, `types.MappingProxyType({"a": 1})`, `object()`, `len`, `ValueError("x")`, `1j`,
	`cyclic`, `deep`,
}

// valuesOfNumpy are, too, where there is numpy.
var valuesOfNumpy = []string{
	`np.float32(0.25)`, `np.int64(7)`, `np.bool_(True)`, `np.str_("oak")`, `np.array(3.5)`, `np.zeros((0, 4), "f4")`,
	`np.array(["a", "bc"])`, `np.array([b"a"])`, `np.array(["a", 1.5, None], object)`, `np.array([1, 2], ">i4")`,
	`np.array([1, 2], "u8")`, `np.array([[1.5, np.nan]])`, `np.array([1, 2], "f2")`, `np.array([1 + 2j])`,
	`np.array(["2026-01-01"], "datetime64[ns]")`, `np.array(["2026-01-01", "NaT"], "datetime64[D]")`,
	`np.array([1, 2], "timedelta64[s]")`, `np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")])`, `np.longdouble(2)`,
	`np.ma.array([1.0, 2.0], mask=[False, True])`, `np.ma.array([1, 2], mask=[False, True])`,
	`[np.arange(2), np.arange(2)]`,
	`{np.int64(0): np.float32(0.5)}`, `{"a": np.arange(2), "b": [np.datetime64("2026-01-01")]}`, `np.matrix([1.5, 2])`,
	`np.array([True, False])`, `np.array(["setosa"] * 300)`, `np.arange(300.0)`, `[np.float64(0.5)] * 300`,
}

const returns1 = `
import array, collections, dataclasses, datetime, decimal, enum, fractions, pathlib, types, uuid
try:
    import numpy as np
except ImportError:
    pass
class Tree(enum.Enum):
    OAK = "oak"
    ELM = "elm"
class Size(enum.IntEnum): BIG = 3
class Text(str): pass
@dataclasses.dataclass
class Leaf:
    width: int = 1
    when: datetime.date = datetime.date(2026, 1, 1)
Pair = collections.namedtuple("Pair", "label score")
cyclic = []
cyclic.append(cyclic)
deep = []
for _ in range(5000): deep = [deep]
def f(inputs):
%s
    data = inputs[0]["data"]
    name, expression = (data if isinstance(data, str) else data[0]).split(" ", 1)
    return {name: eval(expression)}
`

// schemaOf is a schema of a component's own OpenAPI document.
func (c *component) schemaOf(name string) *jsonschema.Schema {
	c.t.Helper()
	_, body := c.send("GET", "/openapi.json")
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("https://example.org/openapi.json", document); err != nil {
		c.t.Fatal(err)
	}
	return compiler.MustCompile("https://example.org/openapi.json#/components/schemas/" + name)
}

// fits says whether a body is what the schema wants.
func fits(t *testing.T, s *jsonschema.Schema, body string) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return s.Validate(v)
}

// datatypeOf is the datatype of the Open Inference Protocol for one of the platform's.
func datatypeOf(kind string) string {
	if kind == "str" || kind == "dict" || kind == "FILE" || kind == "" { // null has none
		return "BYTES"
	}
	return kind
}

// datatypesOf are those of a component's metadata, by name.
func (c *component) datatypesOf(side string) map[string]string {
	c.t.Helper()
	var m map[string]json.RawMessage
	var list []struct{ Name, Datatype string }
	if _, body := c.send("GET", "/v2/models/leaf"); json.Unmarshal([]byte(body), &m) != nil ||
		json.Unmarshal(m[side], &list) != nil {
		c.t.Fatal(body)
	}
	all := map[string]string{}
	for _, v := range list {
		all[v.Name] = v.Datatype
	}
	return all
}

// An output has one datatype, one shape and the same data by predict and by the Open Inference
// Protocol: the docstring's where there is one. The metadata and the OpenAPI document say the same.
func TestViewsOfOutputs(t *testing.T) {
	t.Parallel()
	for name, python := range map[string][2]string{"numpy": {pythonWithNumpy(t), "-B"},
		"the standard library only": {"python3", "-S"}, "what the image has": {"python3", "-B"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := values
			if name == "numpy" {
				all = slices.Concat(values, valuesOfNumpy)
			}
			c := startWith(t, python[0], python[1], fmt.Sprintf(returns1, described("outputs")), "f").awaitReady()
			platform, protocol := c.schemaOf("Answer"), c.schemaOf("InferenceAnswer")
			metadata := c.datatypesOf("outputs")
			answered := 0
			for i, types := range typed {
				for _, value := range all {
					what := fmt.Sprintf("v%d %s", i, value)
					says, err := json.Marshal(what)
					if err != nil {
						t.Fatal(err)
					}
					p, err := c.post(t.Context(), `{"inputs":[{"name":"w","datatype":"str","data":`+string(says)+`}]}`)
					if err != nil {
						t.Fatal(err)
					}
					v := c.infer(p.status, `{"inputs":[{"name":"w","datatype":"BYTES","shape":[1],"data":[`+string(says)+`]}]}`, 0)
					if p.status != 200 {
						if p.status != 500 || p.slug() != "invalid-result" || p.Detail != v.Detail ||
							!strings.HasPrefix(p.Detail, fmt.Sprintf("output v%d ", i)) {
							t.Errorf("%v: %s: %s, infer: %s", types, value, p.body, v.body)
						}
						continue
					}
					answered++
					if value == "None" && len(types) > 0 { // they are optional
						if len(p.Outputs) != 0 || len(v.Outputs) != 0 {
							t.Errorf("%s: %s, infer: %s", what, p.body, v.body)
						}
						continue
					}
					if len(p.Outputs) != 1 || len(v.Outputs) != 1 {
						t.Errorf("%s: %s, infer: %s", what, p.body, v.body)
						continue
					}
					x, y := p.Outputs[0], v.Outputs[0]
					if len(types) > 0 && !slices.Contains(types, x.Datatype) || datatypeOf(x.Datatype) != y.Datatype ||
						len(types) == 1 && metadata[x.Name] != y.Datatype {
						t.Errorf("%v: %s: predict says %s, infer %s, the metadata %s", types, value, x.Datatype, y.Datatype, metadata[x.Name])
					}
					data, shape := x.Data, x.Shape
					switch _, list := data.([]any); {
					case x.Datatype == "dict" || data == nil:
						text, _ := y.Data.([]any)[0].(string)
						if err := json.Unmarshal([]byte(text), &y.Data); err != nil {
							t.Errorf("%s: %v", v.body, err)
						}
						shape = []any{1.0}
					case !list:
						data, shape = []any{data}, []any{1.0}
					}
					if !reflect.DeepEqual(data, y.Data) || !reflect.DeepEqual(shape, y.Shape) {
						t.Errorf("%v: %s: %.300s, infer: %.300s", types, value, p.body, v.body)
					}
					if err := fits(t, platform, p.body); err != nil {
						t.Errorf("%.300s: %v", p.body, err)
					}
					if err := fits(t, protocol, v.body); err != nil {
						t.Errorf("%.300s: %v", v.body, err)
					}
				}
			}
			if answered < 500 {
				t.Errorf("only %d values were answered", answered)
			}
		})
	}
}

// A number or a boolean that is to be a text is one, as JSON writes it; None is null where nothing is
// declared, NaN among floats and no other datatype, and an optional output that is None is not there.
func TestTextsAndNoneAnswered(t *testing.T) {
	t.Parallel()
	for name, python := range map[string][2]string{"numpy": {pythonWithNumpy(t), "-B"},
		"the standard library only": {"python3", "-S"}, "what the image has": {"python3", "-B"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startWith(t, python[0], python[1], `
import decimal
def f(inputs):
    """Texts.

    :param outputs.text: a text
    :type outputs.text: str
    :param outputs.bytes: a text
    :type outputs.bytes: BYTES
    :param outputs.either: a text or a number
    :type outputs.either: str or FP32
    :param outputs.float: a number
    :type outputs.float: FP32
    :param outputs.int: a number
    :type outputs.int: INT32
    :param outputs.object: an object
    :type outputs.object: dict
    :param outputs.maybe: a word
    :type outputs.maybe: str, optional
    :param outputs.free: anything
    """
    data = inputs[0]["data"]
    return eval(data if isinstance(data, str) else data[0])
`, "f").awaitReady()
			for expression, want := range map[string]string{ // by predict, and the elements by infer
				`{"text": 7}`:                                       `str [1] "7" ["7"]`,
				`{"text": 0.1}`:                                     `str [1] "0.1" ["0.1"]`,
				`{"text": True}`:                                    `str [1] "true" ["true"]`,
				`{"bytes": 2**70}`:                                  `BYTES [1] "1180591620717411303424" ["1180591620717411303424"]`,
				`{"text": [1, "a", False]}`:                         `str [3] ["1","a","false"] ["1","a","false"]`,
				`{"text": [[1, 2], [3, 4]]}`:                        `str [2,2] ["1","2","3","4"] ["1","2","3","4"]`,
				`{"text": decimal.Decimal("1.50")}`:                 `str [1] "1.5" ["1.5"]`,
				`{"text": float("nan")}`:                            `str [1] "NaN" ["NaN"]`,
				`{"text": "a"}`:                                     `str [1] "a" ["a"]`,
				`{"either": 7}`:                                     `FP32 [1] [7] [7]`,
				`{"either": True}`:                                  `FP32 [1] [1] [1]`,
				`{"either": "7"}`:                                   `str [1] "7" ["7"]`,
				`[{"name": "x", "datatype": "str", "data": 7}]`:     `str [1] "7" ["7"]`,
				`{"float": None}`:                                   `FP32 [1] [null] [null]`,
				`{"float": [[None], [None]]}`:                       `FP32 [2,1] [null,null] [null,null]`,
				`{"float": [True, 2**70]}`:                          `FP32 [2] [1,1.1805916207174113e+21] [1,1.1805916207174113e+21]`,
				`{"float": [None, 1]}`:                              `FP32 [2] [null,1] [null,1]`,
				`{"free": None}`:                                    ` [1] null ["null"]`,
				`{"x": [None]}`:                                     `dict [1] [null] ["[null]"]`,
				`[{"name": "x", "datatype": "FP32", "data": None}]`: `FP32 [1] [null] [null]`,
				`{"maybe": None}`:                                   "none",
				`{"maybe": None, "free": 1}`:                        `INT64 [1] [1] [1]`,
				`{"maybe": 1}`:                                      `str [1] "1" ["1"]`,
				`{"text": None}`:                                    "output text of the function is None, and its datatype is str",
				`{"either": None, "int": None}`:                     "output int of the function is None, and its datatype is INT32",
				`{"object": None}`:                                  "output object of the function is None, and its datatype is dict",
				`{"text": {"a": 1}}`:                                "output text of the function must have strings as data of str, and has {'a': 1}",
				`{"text": ["a", None]}`:                             "output text of the function must have strings as data of str, and has None",
				`{"text": object()}`:                                "output text of the function has a value of the type object, which has no plain form",
			} {
				says, err := json.Marshal(expression)
				if err != nil {
					t.Fatal(err)
				}
				p, err := c.post(t.Context(), `{"inputs":[{"name":"w","data":`+string(says)+`}]}`)
				if err != nil {
					t.Fatal(err)
				}
				v := c.infer(p.status, `{"inputs":[{"name":"w","datatype":"BYTES","shape":[1],"data":[`+string(says)+`]}]}`, 0)
				got := "none"
				switch {
				case p.status != 200:
					got, _, _ = strings.Cut(p.Detail, ";")
					if p.status != 500 || p.slug() != "invalid-result" || v.Detail != p.Detail {
						t.Errorf("%s: %s, infer: %s", expression, p.body, v.body)
					}
				case len(p.Outputs) == 1 && len(v.Outputs) == 1:
					x, y := p.Outputs[0], v.Outputs[0]
					data, _ := json.Marshal(x.Data)
					elements, _ := json.Marshal(y.Data)
					shape, _ := json.Marshal(y.Shape)
					got = fmt.Sprintf("%s %s %s %s", x.Datatype, shape, data, elements)
					if datatypeOf(x.Datatype) != y.Datatype {
						t.Errorf("%s: %s, infer: %s", expression, p.body, v.body)
					}
				case len(p.Outputs) != 0 || len(v.Outputs) != 0:
					got = p.body + v.body
				}
				if got != want {
					t.Errorf("%s: %s, want %s", expression, got, want)
				}
			}
		})
	}
}

// given are data of inputs.
var given = []string{
	`1`, `0.5`, `true`, `null`, `"oak"`, `{}`, `{"a":1}`, `[]`, `[1]`, `[1,2.5]`, `[2.0]`, `[0.5,null]`, `[true]`, `["a","b"]`,
	`[{"a":1}]`, `[300]`, `[-1]`, `[4294967296]`, `[18446744073709551615]`, `[[1,2],[3,4]]`, `[1,"a"]`,
}

const sees = `
def f(inputs):
%s
    def kinds(data): return sorted({type(v).__name__ for v in data}) if isinstance(data, (list, tuple)) else type(data).__name__
    return [{"name": "seen", "datatype": "dict", "data": [[v.get("datatype"), kinds(v["data"]), v["data"] == v["data"]] for v in inputs]}]
`

// A value that the OpenAPI document allows is taken, whatever the caller calls it, and reaches the
// function as one of the docstring's datatypes: what is FP32 as floats. Another one is refused with
// its place. So are tensors of the Open Inference Protocol.
func TestViewsOfInputs(t *testing.T) {
	t.Parallel()
	c := startPython(t, "-B", fmt.Sprintf(sees, described("inputs")), "f").awaitReady()
	request, taken, refused := c.schemaOf("Request"), 0, 0
	for i, types := range typed {
		for _, datatype := range []string{"", "FP32", "FP64", "INT32", "INT64", "UINT8", "BOOL", "str", "dict",
			"BYTES"} {
			for _, data := range given {
				named := fmt.Sprintf(`,"datatype":"%s"`, datatype)
				if datatype == "" {
					named = ""
				}
				// v0 has no type, and cannot be called optional
				body := fmt.Sprintf(`{"inputs":[{"name":"v0","data":1},{"name":"v%d"%s,"data":%s}]}`, i, named, data)
				a, err := c.post(t.Context(), body)
				if err != nil {
					t.Fatal(err)
				}
				allowed := fits(t, request, body) == nil
				switch {
				case a.status == 200:
					taken++
					seen, _ := a.Outputs[0].Data.([]any)[1].([]any)
					kind, _ := seen[0].(string)
					if len(types) > 0 && data != "null" && !slices.Contains(types, kind) {
						t.Errorf("%v: %s: the function gets a %s", types, body, kind)
					}
					element := ""
					if strings.HasPrefix(kind, "FP") {
						element = "[float]"
					} else if strings.Contains(kind, "INT") {
						element = "[int]"
					}
					if flat := !strings.Contains(data, "[[") && data != "[]"; flat && element != "" &&
						fmt.Sprint(seen[1]) != element {
						t.Errorf("%v: %s: the function gets %v", types, body, seen)
					}
				case a.status != 400 || len(a.Errors) != 1 || !strings.HasPrefix(a.Errors[0].Pointer, "/inputs/1/"):
					t.Errorf("%v: %s: %s", types, body, a.body)
				default:
					refused++
					if allowed && (datatype == "" || len(types) > 0) && !beyond(datatype+strings.Join(types, " "), data) {
						t.Errorf("%v: %s is allowed and refused: %s", types, body, a.body)
					}
				}
			}
		}
	}
	if taken < 800 || refused < 800 {
		t.Errorf("%d taken, %d refused", taken, refused)
	}
}

// beyond says whether a number is outside of an integer type, which the schema does not say, or
// the value is null.
func beyond(types, data string) bool {
	return strings.Contains(types, "INT") &&
		slices.Contains([]string{"[300]", "[-1]", "[4294967296]", "[18446744073709551615]"}, data)
}

// What is missing, and what is wrong, is said by the docstring, by both protocols.
func TestInputsByTheDocstring(t *testing.T) {
	t.Parallel()
	c := start(t, `
def f(inputs):
    """Scores.

    :param inputs.x: three numbers
    :type inputs.x: FP32
    :param inputs.photo: a photo
    :type inputs.photo: FILE, optional
    :param inputs.note: a word
    :type inputs.note: str, optional
    :param inputs.any: anything
    """
    return {"seen": [[v.get("datatype"), repr(v["data"])] for v in inputs]}
`, "f").awaitReady()
	const x, anything = `{"name":"x","datatype":"FP32","shape":[1],"data":[1]}`, `{"name":"any","datatype":"FP32","shape":[1],"data":[1]}`
	for body, want := range map[string]string{
		`{"inputs":[]}`: "/inputs: the input x is missing; the function wants x, photo, note, any",
		`{"inputs":[` + anything + `,{"name":"x","datatype":"BYTES","shape":[1],"data":["a"]}]}`:                     "/inputs/1/datatype: input x is BYTES; its datatype is FP32",
		`{"inputs":[` + x + `,` + anything + `,{"name":"note","datatype":"FP32","shape":[1],"data":[1]}]}`:           "/inputs/2/datatype: input note is FP32; its datatype is str",
		`{"inputs":[` + x + `,` + anything + `,{"name":"photo","datatype":"BYTES","shape":[1],"data":["a/b.png"]}]}`: "/inputs/2/datatype: input photo is BYTES; its datatype is FILE",
	} {
		for form, call := range map[string]func() answer{
			"predict": func() answer { return c.predict(400, body) },
			"infer":   func() answer { return c.infer(400, body, 0).answer },
		} {
			a := call()
			if len(a.Errors) != 1 || a.Errors[0].Pointer+": "+a.Detail != want || a.slug() != "invalid-request" {
				t.Errorf("%s, %s: %s, want %s", form, body, a.body, want)
			}
		}
	}
	for body, want := range map[string]string{
		`{}`: "/inputs", `{"instances":[[1,2,3]]}`: "/instances",
		`{"inputs":[{"name":"photo","data":"a/b.png"}]}`: "/inputs/0/datatype",
		`{"inputs":[{"name":"x","data":"1"}]}`:           "/inputs/0/data",
	} {
		if a := c.predict(400, body); len(a.Errors) != 1 || a.Errors[0].Pointer != want {
			t.Errorf("%s: %s, want %s", body, a.body, want)
		}
	}
	// Numbers of another datatype are taken as those that the docstring names.
	const seen = `["FP32","[1.0, 2.0]","INT32","[1]","str","'a'"]`
	body := `{"inputs":[{"name":"x","datatype":"INT64","shape":[2],"data":[1,2]},{"name":"any","datatype":"INT32","shape":[1],"data":[1]},{"name":"note","datatype":"%s","shape":[1],"data":%s}]}`
	a := c.predict(200, fmt.Sprintf(body, "BYTES", `"a"`))
	if got, err := json.Marshal(a.Outputs[0].Data); err != nil || !sameJSON(t, string(got), seen) {
		t.Errorf("%s, want %s", got, seen)
	}
	v := c.infer(200, fmt.Sprintf(body, "BYTES", `["a"]`), 0)
	if got, err := json.Marshal(v.Outputs[0].Data); err != nil || !sameJSON(t, string(got), seen) {
		t.Errorf("%s, want %s", got, seen)
	}
}

// What JavaScript writes: whole numbers without a point, among floats or alone, are floats where
// the datatype says so.
func TestWholeNumbersInFP32(t *testing.T) {
	t.Parallel()
	c := start(t, `
def f(inputs):
    return {"types": " ".join(sorted({type(v).__name__ for v in inputs[0]["data"]}))}
`, "f").awaitReady()
	long := strings.Repeat("0.5,1,", 600)
	for _, data := range []string{"1.0,2.0,3.0", "1,2,3", "1,2.5,3", long + "1", strings.Repeat("1,", 2000) + "2",
		strings.Repeat("0.25,", 2000) + "1.5"} {
		count := strings.Count(data, ",") + 1
		body := fmt.Sprintf(`{"inputs":[{"name":"x","datatype":"FP32","shape":[%d],"data":[%s]}]}`, count, data)
		if a := c.predict(200, body); a.Outputs[0].Data != "float" {
			t.Errorf("%.40s: %s", data, a.body)
		}
		if a := c.infer(200, body, 0); !reflect.DeepEqual(a.Outputs[0].Data, []any{"float"}) {
			t.Errorf("%.40s: %s", data, a.body)
		}
	}
}
