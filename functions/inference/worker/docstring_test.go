package worker_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/functions/inference/internal/openapi"
	"github.com/unip-knative/unip/functions/inference/worker"
)

// said is what docstring.py makes of one docstring.
type said struct {
	Description openapi.Description
	Wrong       []struct {
		Line int
		Text string
	}
}

// parse gives docstrings to docstring.py.
func parse(t *testing.T, docs ...string) []said {
	t.Helper()
	file := filepath.Join(t.TempDir(), "docstring.py")
	if err := os.WriteFile(file, worker.Files()["docstring.py"], 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := json.Marshal(docs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "python3", "-B", "-c", `
import json, runpy, sys
parse = runpy.run_path(sys.argv[1])["parse_docstring"]
found = [parse(d) for d in json.load(sys.stdin)]
json.dump([{"description": d, "wrong": [{"line": n, "text": text} for n, text in wrong]} for d, wrong in found], sys.stdout)`, file)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []said
	if err := json.Unmarshal(out, &got); err != nil || len(got) != len(docs) {
		t.Fatalf("%s: %v", out, err)
	}
	return got
}

const doc = `Reads digits.

    More about it.

    :param inputs: what is asked
    :type inputs: list
    :param inputs.image: one or more images,
        line by line
    :type inputs.image: FP32 or
        INT32
    :param inputs.hint: a word: any
    :type inputs.hint: str, optional
    :param  outputs.digit : the digit
    :type outputs.digit:INT32

    Text between is not read.
    :param inputs.free: of any type
    :param input_size: of something else
    :param numpy.ndarray x: of something else
    :raises ValueError: never
    :return: a list
    :param outputs.empty:
    `

func TestParse(t *testing.T) {
	t.Parallel()
	got := parse(t, doc, "", "no fields", ":")
	want := openapi.Description{
		Summary: "Reads digits.\n\nMore about it.",
		Inputs: []openapi.Variable{
			{Name: "image", Description: "one or more images, line by line", Types: []string{"FP32", "INT32"}},
			{Name: "hint", Description: "a word: any", Types: []string{"str"}, Optional: true},
			{Name: "free", Description: "of any type", Types: []string{}},
		},
		Outputs: []openapi.Variable{{Name: "digit", Description: "the digit", Types: []string{"INT32"}},
			{Name: "empty", Types: []string{}}},
	}
	if d := cmp.Diff(said{Description: want}, got[0], cmp.Comparer(func(a, b []struct {
		Line int
		Text string
	}) bool {
		return len(a) == len(b)
	})); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	for i, summary := range []string{"", "no fields", ""} {
		if d := cmp.Diff(openapi.Description{Summary: summary, Inputs: []openapi.Variable{},
			Outputs: []openapi.Variable{}}, got[i+1].Description); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	}
}

func TestWrongDocstrings(t *testing.T) {
	t.Parallel()
	const form = " is not of the form ':param inputs.NAME: DESCRIPTION' or ':type inputs.NAME: TYPE1 or TYPE2[, optional]', or the same with outputs"
	wrong := []struct {
		doc  string
		line int
		want string
	}{
		{"x\n:param inputs.a: x\n:type inputs.a: float", 2,
			"inputs.a: unknown type 'float'; known are FP32, FP64, INT32, str, dict, FILE, BOOL, "},
		{":param inputs.a: x\n:type inputs.a: fp32", 1, "inputs.a: unknown type 'fp32'"},
		{":param inputs.a: x\n:type inputs.a: FP32 | FP64", 1, "inputs.a: unknown type 'FP32 | FP64'"},
		{":param inputs.a: x\n:type inputs.a:", 1, "inputs.a: unknown type ''"},
		{":param inputs.a: x\n:type inputs.a: FP32 or", 1, "inputs.a: unknown type 'FP32 or'"},
		{":param inputs.a: x\n:type inputs.a: FP32, required", 1,
			"inputs.a: after the comma only 'optional' may stand, not 'required'"},
		{":param inputs.a: x\n\n:param inputs.a:y", 2, "inputs.a has a second :param"},
		{":param inputs.a: x\n:type inputs.a: str\n:type inputs.a: str", 2, "inputs.a has a second :type"},
		{":type inputs.a: str", 0, "inputs.a has a :type and no :param"},
		{":param inputs.a: x\n:type outputs.a: str", 1, "outputs.a has a :type and no :param"},
		{":param inputs.a: x\n:type inputs.b: str", 1, "inputs.b has a :type and no :param"},
		{":param inputs.: x", 0, "':param inputs.: x'" + form},
		{":param outputs. : x", 0, "':param outputs. : x'" + form},
		{":param inputs a: x", 0, "':param inputs a: x'" + form},
		{":param inputs.a b: x", 0, "':param inputs.a b: x'" + form},
		{":param inputs.a the first", 0, "':param inputs.a the first'" + form},
		{":type inputs FP32", 0, "':type inputs FP32'" + form},
		{":param inputs", 0, "':param inputs'" + form},
		{":param input.a: x", 0, "':param input.a: x'" + form},
		{":tpye inputs.a: x", 0, "':tpye inputs.a: x'" + form},
		{": param inputs.a: x", 0, "': param inputs.a: x'" + form},
	}
	var docs []string
	for _, x := range wrong {
		docs = append(docs, x.doc)
	}
	for i, got := range parse(t, docs...) {
		if len(got.Wrong) != 1 || got.Wrong[0].Line != wrong[i].line ||
			!strings.HasPrefix(got.Wrong[0].Text, wrong[i].want) {
			t.Errorf("%q: %+v, want line %d: %s", wrong[i].doc, got.Wrong, wrong[i].line, wrong[i].want)
		}
	}
	if got := parse(t, ":type inputs.a: float\n:param inputs.: x")[0]; len(got.Wrong) != 3 { // all at once
		t.Errorf("%+v", got.Wrong)
	}
}
