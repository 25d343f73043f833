package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// malformed are infer requests that are refused: the JSON, the bytes behind it (with any there is
// the header of the JSON's length), and the answer: pointer and detail (what Python says of bytes
// that are no JSON differs between its versions).
var malformed = []struct{ json, tail, want string }{
	{``, "", ": the request is not JSON"},
	{`{`, "", ": the request is not JSON"},
	{`{"inputs":[}`, "", ": the request is not JSON"},
	{`{"inputs":[1,]}`, "", ": the request is not JSON"},
	{"\xff", "", ": the request is not JSON"},
	{`[]`, "", ": the request must be an object with inputs"},
	{`null`, "", ": the request must be an object with inputs"},
	{`"x"`, "", ": the request must be an object with inputs"},
	{`{}`, "", "/inputs: inputs must be a list"},
	{`{"inputs":null}`, "", "/inputs: inputs must be a list"},
	{`{"inputs":{}}`, "", "/inputs: inputs must be a list"},
	{`{"inputs":[1]}`, "", "/inputs/0: an input must be an object with name, shape, datatype and data"},
	{`{"inputs":[[]]}`, "", "/inputs/0: an input must be an object with name, shape, datatype and data"},
	{`{"id":7,"inputs":[]}`, "", "/id: id must be a string"},
	{`{"id":["7"],"inputs":[]}`, "", "/id: id must be a string"},
	{`{"parameters":[],"inputs":[]}`, "", "/parameters: parameters must be an object"},
	{`{"parameters":{"binary_data_output":1},"inputs":[]}`, "",
		"/parameters/binary_data_output: binary_data_output must be true or false"},
	{`{"inputs":[],"outputs":{}}`, "", "/outputs: outputs must be a list"},
	{`{"inputs":[],"outputs":["x"]}`, "", "/outputs/0: an output must be an object with a name"},
	{`{"inputs":[],"outputs":[{}]}`, "", "/outputs/0/name: an output must have a name"},
	{`{"inputs":[],"outputs":[{"name":""}]}`, "", "/outputs/0/name: an output must have a name"},
	{`{"inputs":[],"outputs":[{"name":"x","parameters":1}]}`, "",
		"/outputs/0/parameters: parameters must be an object"},
	{`{"inputs":[],"outputs":[{"name":"x","parameters":{"binary_data":"true"}}]}`, "",
		"/outputs/0/parameters/binary_data: binary_data must be true or false"},
	{`{"inputs":[],"outputs":[{"name":"x","parameters":{"classification":3}}]}`, "",
		"/outputs/0/parameters/classification: the extension of classification is not supported"},
	{`{"inputs":[],"outputs":[{"name":"x","parameters":{"shared_memory_region":"r"}}]}`, "",
		"/outputs/0/parameters/shared_memory_region: the extension of shared_memory_region is not supported"},
	{`{"inputs":[],"outputs":[{"name":"x"}]}`, "", "/outputs/0/name: there is no output x; the function gave none"},
	{`{"inputs":[{}]}`, "", "/inputs/0/name: an input must have a name"},
	{`{"inputs":[{"name":1,"datatype":"INT8","shape":[1],"data":[1]}]}`, "",
		"/inputs/0/name: an input must have a name"},
	{`{"inputs":[{"name":"","datatype":"INT8","shape":[1],"data":[1]}]}`, "",
		"/inputs/0/name: an input must have a name"},
	{`{"inputs":[{"name":"x","shape":[1],"data":[1]}]}`, "",
		"/inputs/0/datatype: input x: unknown datatype None; " + known},
	{`{"inputs":[{"name":"x","datatype":"int8","shape":[1],"data":[1]}]}`, "",
		"/inputs/0/datatype: input x: unknown datatype 'int8'; " + known},
	{`{"inputs":[{"name":"x","datatype":"str","shape":[1],"data":["a"]}]}`, "",
		"/inputs/0/datatype: input x: unknown datatype 'str'; " + known},
	{`{"inputs":[{"name":"x","datatype":["INT8"],"shape":[1],"data":[1]}]}`, "",
		"/inputs/0/datatype: input x: unknown datatype ['INT8']; " + known},
	{`{"inputs":[{"name":"x","datatype":"INT8","data":[1]}]}`, "",
		"/inputs/0/shape: the shape of input x must be a list of integers"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":1,"data":[1]}]}`, "",
		"/inputs/0/shape: the shape of input x must be a list of integers"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":["1"],"data":[1]}]}`, "",
		"/inputs/0/shape: the shape of input x has a dimension that is no integer from 0 to 2^63-1"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1.0],"data":[1]}]}`, "",
		"/inputs/0/shape: the shape of input x has a dimension that is no integer from 0 to 2^63-1"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[true],"data":[1]}]}`, "",
		"/inputs/0/shape: the shape of input x has a dimension that is no integer from 0 to 2^63-1"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[-1],"data":[1]}]}`, "",
		"/inputs/0/shape: the shape of input x has a dimension that is no integer from 0 to 2^63-1"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[-1,-1],"data":[1]}]}`, "",
		"/inputs/0/shape: the shape of input x has a dimension that is no integer from 0 to 2^63-1"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[9223372036854775808],"data":[1]}]}`, "",
		"/inputs/0/shape: the shape of input x has a dimension that is no integer from 0 to 2^63-1"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[4294967296,4294967296],"data":[1]}]}`, "",
		"/inputs/0/shape: the shape of input x means more elements than there can be"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[1,2]}]}`, "",
		"/inputs/0/shape: input x has 2 elements, its shape [1] means 1"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[0],"data":[1]}]}`, "",
		"/inputs/0/shape: input x has 1 elements, its shape [0] means 0"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[],"data":[]}]}`, "",
		"/inputs/0/shape: input x has 0 elements, its shape [] means 1"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[2,2],"data":[[1,2],[3]]}]}`, "",
		"/inputs/0/data: input x has nested data whose rows are not alike"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[2],"data":[[1],2]}]}`, "",
		"/inputs/0/data: input x has nested data whose rows are not alike"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1]}]}`, "", "/inputs/0/data: input x has no data"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":1}]}`, "",
		"/inputs/0/data: input x must have a list as data"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":{}}]}`, "",
		"/inputs/0/data: input x must have a list as data"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[1.5]}]}`, "",
		"/inputs/0/data: input x must have integers as data of INT8"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":["1"]}]}`, "",
		"/inputs/0/data: input x must have integers as data of INT8"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[true]}]}`, "",
		"/inputs/0/data: input x must have integers as data of INT8"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[null]}]}`, "",
		"/inputs/0/data: input x must have integers as data of INT8"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[128]}]}`, "",
		"/inputs/0/data: input x has a number that is no INT8"},
	{`{"inputs":[{"name":"x","datatype":"UINT16","shape":[1],"data":[-1]}]}`, "",
		"/inputs/0/data: input x has a number that is no UINT16"},
	{`{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":["1"]}]}`, "",
		"/inputs/0/data: input x must have numbers as data of FP32"},
	{`{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[false]}]}`, "",
		"/inputs/0/data: input x must have numbers as data of FP32"},
	{`{"inputs":[{"name":"x","datatype":"BOOL","shape":[1],"data":[1]}]}`, "",
		"/inputs/0/data: input x must have true and false as data of BOOL"},
	{`{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"data":[1]}]}`, "",
		"/inputs/0/data: input x must have strings as data of BYTES, and has 1"},
	{`{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"data":"a"}]}`, "",
		"/inputs/0/data: input x must have a list as data"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"parameters":[],"data":[1]}]}`, "",
		"/inputs/0/parameters: parameters must be an object"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"parameters":{"shared_memory_region":"r"}}]}`, "",
		"/inputs/0/parameters/shared_memory_region: the extension of shared_memory_region is not supported"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"parameters":{"binary_data_size":1}}]}`, "",
		"/inputs/0/parameters/binary_data_size: input x has a binary_data_size, but the header Inference-Header-Content-Length is missing"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"parameters":{"binary_data_size":1},"data":[1]}]}`, "a",
		"/inputs/0/parameters/binary_data_size: input x has data and binary_data_size; one of them is too much"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"parameters":{"binary_data_size":-1}}]}`, "a",
		"/inputs/0/parameters/binary_data_size: input x has a binary_data_size that is not a number of bytes"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"parameters":{"binary_data_size":"1"}}]}`, "a",
		"/inputs/0/parameters/binary_data_size: input x has a binary_data_size that is not a number of bytes"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"parameters":{"binary_data_size":true}}]}`, "a",
		"/inputs/0/parameters/binary_data_size: input x has a binary_data_size that is not a number of bytes"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"parameters":{"binary_data_size":2}}]}`, "a",
		"/inputs/0/parameters/binary_data_size: input x has 2 bytes of binary data, 1 are left in the body"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"parameters":{"binary_data_size":99999999999999999999}}]}`,
		"a", "/inputs/0/parameters/binary_data_size: input x has 99999999999999999999 bytes of binary data, 1 are left in the body"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"parameters":{"binary_data_size":1}},{"name":"y","datatype":"INT8","shape":[1],"parameters":{"binary_data_size":1}}]}`, "a", "/inputs/1/parameters/binary_data_size: input y has 1 bytes of binary data, 0 are left in the body"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"parameters":{"binary_data_size":1}}]}`, "ab",
		": 1 bytes follow the last binary tensor"},
	{`{"inputs":[]}`, "a", ": 1 bytes follow the last binary tensor"},
	{`{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":3}}]}`, "abc",
		"/inputs/0/parameters/binary_data_size: input x has 3 bytes of binary data, its shape and datatype mean 4"},
	{`{"inputs":[{"name":"x","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":4}}]}`, "abcd",
		"/inputs/0/parameters/binary_data_size: input x has 4 bytes of binary data, its shape and datatype mean 8"},
	{`{"inputs":[{"name":"x","datatype":"FP32","shape":[9223372036854775807],"parameters":{"binary_data_size":4}}]}`,
		"abcd", "/inputs/0/parameters/binary_data_size: input x has 4 bytes of binary data, its shape and datatype mean 36893488147419103228"},
	{`{"inputs":[{"name":"x","datatype":"BOOL","shape":[2],"parameters":{"binary_data_size":2}}]}`, "\x01\x02",
		"/inputs/0/parameters/binary_data_size: input x has a BOOL that is neither 0 nor 1"},
	{`{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":3}}]}`, "\x00\x00\x00",
		"/inputs/0/parameters/binary_data_size: input x ends within the length of element 0"},
	{`{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}}]}`,
		"\x02\x00\x00\x00a",
		"/inputs/0/parameters/binary_data_size: input x has an element 0 of 2 bytes where 1 are left"},
	{`{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":4}}]}`, "\xff\xff\xff\xff",
		"/inputs/0/parameters/binary_data_size: input x has an element 0 of 4294967295 bytes where 0 are left"},
	{`{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":10}}]}`,
		"\x01\x00\x00\x00a\x01\x00\x00\x00b",
		"/inputs/0/parameters/binary_data_size: input x has 2 elements in its binary data, its shape means 1"},
	{`{"inputs":[{"name":"x","datatype":"BYTES","shape":[3],"parameters":{"binary_data_size":10}}]}`,
		"\x01\x00\x00\x00a\x01\x00\x00\x00b",
		"/inputs/0/parameters/binary_data_size: input x has 2 elements in its binary data, its shape means 3"},
	{`{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":0}}]}`, "a",
		"/inputs/0/parameters/binary_data_size: input x has 0 elements in its binary data, its shape means 1"},
	{`{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"data":[1]},{"name":"y","datatype":"INT8","shape":[2],"data":[1]}]}`, "", "/inputs/1/shape: input y has 1 elements, its shape [2] means 2"},
	{`{"inputs":[`, "a", ": the request is not JSON"},
}

const known = "known are BYTES, BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, FP16, BF16, FP32, FP64"

func TestV2MalformedRequests(t *testing.T) {
	t.Parallel()
	c := startWith(t, "python3", "-S", echoV2, "echo").awaitReady()
	for _, x := range malformed {
		head := 0
		if x.tail != "" {
			head = len(x.json)
		}
		a := c.infer(400, x.json+x.tail, head)
		pointer := "-"
		if len(a.Errors) == 1 {
			pointer = a.Errors[0].Pointer
		}
		var p struct{ Detail, Error string }
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Error != p.Detail ||
			a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", x.json, a.body)
		}
		if got := fmt.Sprintf("%s: %s", pointer, a.Detail); got != x.want && !strings.HasPrefix(got, x.want+": ") ||
			a.slug() != map[bool]string{true: "invalid-json",
				false: "invalid-request"}[strings.Contains(x.want, "not JSON")] {
			t.Errorf("%s: %s, want %s", x.json, got, x.want)
		}
	}
	c.infer(200, `{"inputs":[]}`, 0) // it still answers
}

// What the server itself sees to: the header and the length of the body.
func TestV2WrongHeader(t *testing.T) {
	t.Parallel()
	c := start(t, echoV2, "echo").awaitReady()
	const number = "Inference-Header-Content-Length must be a number of bytes from 1 to 67108864"
	for header, want := range map[string]string{
		"0": number, "-1": number, "+5": number, "x": number, "": number, "1e1": number, "67108865": number,
		"99999999999999999999": number, "0x10": number,
		"14": "Inference-Header-Content-Length is more than the body has",
	} {
		a := c.infer(400, `{"inputs":[]}`, 0, "Inference-Header-Content-Length", header)
		if a.slug() != "invalid-request" || a.Detail != want {
			t.Errorf("%q: %s", header, a.body)
		}
	}
	a := c.infer(400, `{"inputs":[]}`, 13, "Inference-Header-Content-Length", "13")
	if a.Detail != "there is more than one Inference-Header-Content-Length" {
		t.Errorf("%s", a.body)
	}
	c.infer(200, `{"inputs":[]}`, 13)
	if a := c.infer(413, strings.Repeat(" ", 64<<20)+`{}`, 0); a.slug() != "body-too-large" {
		t.Errorf("%.200s", a.body)
	}
}
