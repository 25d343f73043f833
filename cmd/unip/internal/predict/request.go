// Package predict makes the body of a predict call from what somebody types, finds the place in it
// that a problem points at, and writes the answer for people. It calls nobody.
package predict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Request is the body of a predict call.
type Request struct {
	Inputs       []Input         `json:"inputs"`
	Parameters   json.RawMessage `json:"parameters,omitempty"`
	OutputFields []Field         `json:"output_fields,omitempty"`
	ModelKey     string          `json:"model_key,omitempty"`
}

// Field names an output that is wanted.
type Field struct {
	Name string `json:"name"`
}

// Input is one input. Data of a numeric datatype is flat; its dimensions are the shape.
type Input struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape,omitempty"`
	Data     any    `json:"data"`
}

// Datatypes that an input can have: the platform's, and the numeric ones of the Open Inference
// Protocol.
var Datatypes = []string{
	"FP32", "FP64", "INT32", "str", "dict", "FILE",
	"BOOL", "BYTES", "FP16", "BF16", "INT8", "INT16", "INT64", "UINT8", "UINT16", "UINT32", "UINT64",
}

// ParseInput reads NAME=VALUE, NAME=@FILE or NAME:DATATYPE=VALUE; readFile gives the content of a
// FILE. Without a datatype a VALUE that is a JSON number, list, object or string is that,
// everything else is text: whole numbers are INT32 (INT64 where they do not fit), others FP64, text
// is str, and what is neither is dict.
func ParseInput(arg string, readFile func(name string) ([]byte, error)) (Input, error) {
	key, value, ok := strings.Cut(arg, "=")
	name, datatype, typed := key, "", false
	if i := strings.LastIndex(key, ":"); i >= 0 {
		name, datatype, typed = key[:i], key[i+1:], true
	}
	switch {
	case !ok || name == "":
		return Input{}, fmt.Errorf("%q: NAME=VALUE, NAME=@FILE or NAME:DATATYPE=VALUE is wanted", arg)
	case typed && !slices.Contains(Datatypes, datatype):
		return Input{}, fmt.Errorf("%q: unknown datatype %q; known are %s", key, datatype,
			strings.Join(Datatypes, ", "))
	}
	if file, ok := strings.CutPrefix(value, "@"); ok && datatype != "FILE" {
		b, err := readFile(file)
		if err != nil {
			return Input{}, fmt.Errorf("input %s: %w", name, err)
		}
		if value = string(b); !utf8.ValidString(value) || strings.Contains(value, "\x00") {
			return Input{}, fmt.Errorf(
				"input %s: %s is not text; put it into a box (unip files put) and write %s:FILE=<box>/<group>/<file>",
				name,
				file, name)
		}
	}
	in := Input{Name: name, Datatype: datatype}
	if datatype == "str" || datatype == "FILE" || datatype == "BYTES" {
		in.Data = value
		return in, nil
	}
	v, err := parseJSON(value)
	if !typed {
		if _, word := v.(bool); err != nil || word || v == nil { // true, false and null are words
			v = value
		}
		in.Datatype = datatypeOf(v)
	} else if err != nil {
		return Input{}, fmt.Errorf("input %s: a value of %s must be JSON: %w", name, datatype, err)
	}
	if in.Datatype == "dict" {
		in.Data = v
		return in, nil
	}
	if text, ok := v.(string); ok && !typed {
		in.Data = text
		return in, nil
	}
	flat, shape, err := flatten(v)
	if err == nil && in.Datatype != "str" {
		err = checkNumbers(in.Datatype, flat)
	}
	if err != nil {
		return Input{}, fmt.Errorf("input %s: %w", name, err)
	}
	in.Data, in.Shape = flat, shape
	return in, nil
}

// parseJSON reads one JSON value; numbers keep their digits.
func parseJSON(s string) (any, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the value")
	}
	return v, nil
}

// datatypeOf is the datatype of a value that names none.
func datatypeOf(v any) string {
	switch v.(type) {
	case string:
		return "str"
	case map[string]any:
		return "dict"
	}
	flat, _, err := flatten(v)
	if err != nil {
		return "dict"
	}
	numbers, texts, truths := 0, 0, 0
	datatype := "INT32"
	for _, x := range flat {
		switch x := x.(type) {
		case json.Number:
			numbers++
			n, err := strconv.ParseInt(string(x), 10, 64)
			if err != nil {
				datatype = "FP64"
			} else if datatype == "INT32" && (n < math.MinInt32 || n > math.MaxInt32) {
				datatype = "INT64"
			}
		case string:
			texts++
		case bool:
			truths++
		}
	}
	switch {
	case len(flat) == 0:
		return "FP64"
	case numbers == len(flat):
		return datatype
	case texts == len(flat):
		return "str"
	case truths == len(flat):
		return "BOOL"
	}
	return "dict"
}

// maxDepth of nested lists.
const maxDepth = 32

// flatten makes a flat list of nested ones, whose lengths must agree; a single value is a list of
// one.
func flatten(v any) (flat []any, shape []int, err error) {
	if _, list := v.([]any); !list {
		return []any{v}, []int{1}, nil
	}
	for first := v; ; {
		list, ok := first.([]any)
		if !ok {
			break
		}
		if len(shape) == maxDepth {
			return nil, nil, fmt.Errorf("lists are nested more than %d deep", maxDepth)
		}
		if shape = append(shape, len(list)); len(list) == 0 {
			break
		}
		first = list[0]
	}
	flat = []any{}
	var walk func(v any, depth int) bool
	walk = func(v any, depth int) bool {
		list, ok := v.([]any)
		if depth == len(shape) {
			flat = append(flat, v)
			return !ok
		}
		if !ok || len(list) != shape[depth] {
			return false
		}
		for _, x := range list {
			if !walk(x, depth+1) {
				return false
			}
		}
		return true
	}
	if !walk(v, 0) {
		return nil, nil, errors.New("the lists in it are not of one length and depth, as an array's are")
	}
	return flat, shape, nil
}

// checkNumbers checks that all values can be of a numeric datatype.
func checkNumbers(datatype string, flat []any) error {
	for i, x := range flat {
		n, number := x.(json.Number)
		_, truth := x.(bool)
		whole := number && !strings.ContainsAny(string(n), ".eE")
		switch {
		case datatype == "BOOL" && truth, strings.HasPrefix(datatype, "FP") && number, datatype == "BF16" && number,
			strings.Contains(datatype, "INT") && whole:
			continue
		}
		b, err := json.Marshal(x)
		if err != nil {
			return err
		}
		return fmt.Errorf("value %d, %.40s, is no %s", i, b, datatype)
	}
	return nil
}

// Parameters reads what stands for parameters: a JSON list or object.
func Parameters(b []byte) (json.RawMessage, error) {
	b = bytes.TrimSpace(b)
	if !json.Valid(b) || (b[0] != '[' && b[0] != '{') {
		return nil, errors.New("parameters must be a JSON list or object")
	}
	return b, nil
}
