package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// What is no request is answered with a problem (RFC 9457) that says what is wrong and where:
// {body, "slug pointer", detail}.
var malformedBodies = []struct{ body, want, detail string }{
	{"", "invalid-json ", "the body is not JSON: Expecting value: line 1 column 1 (char 0)"},
	{"{", "invalid-json ",
		"the body is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"},
	{"}", "invalid-json ", "the body is not JSON: Expecting value: line 1 column 1 (char 0)"},
	{"{}}", "invalid-json ", "the body is not JSON: Extra data: line 1 column 3 (char 2)"},
	{"{} {}", "invalid-json ", "the body is not JSON: Extra data: line 1 column 4 (char 3)"},
	{`{"inputs":[]} trailing`, "invalid-json ", "the body is not JSON: Extra data: line 1 column 15 (char 14)"},
	{"nothing", "invalid-json ", "the body is not JSON: Expecting value: line 1 column 1 (char 0)"},
	{"inputs=1&x=2", "invalid-json ", "the body is not JSON: Expecting value: line 1 column 1 (char 0)"},
	{"<xml/>", "invalid-json ", "the body is not JSON: Expecting value: line 1 column 1 (char 0)"},
	{"\xff\xfe", "invalid-json -",
		"the body is text in UTF-16, as some programs of Windows write it; JSON goes over HTTP in UTF-8: save the file " +
			"in that encoding"},
	{"{\"inputs\":[{\"name\":\"x\",\"data\":\"\xc3\"}]}", "invalid-json ",
		"the body is not JSON: 'utf-8' codec can't decode byte 0xc3 in position 31: invalid continuation byte"},
	{"{\"inputs\":[{\"name\":\"x\",\"data\":\"\xed\xa0\x80\"}]}", "invalid-json ",
		"the body is not JSON: 'utf-8' codec can't decode byte 0xed in position 31: invalid continuation byte"},
	{"\xef\xbb\xbf\xef\xbb\xbf{}", "invalid-json ",
		"the body is not JSON: Expecting value: line 1 column 4 (char 3)"},
	{"{\x00}\x00", "invalid-json ",
		"the body is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"},
	{"\x00", "invalid-json ", "the body is not JSON: Expecting value: line 1 column 1 (char 0)"},
	{`{"inputs":[}`, "invalid-json ", "the body is not JSON: Expecting value: line 1 column 12 (char 11)"},
	{`{"inputs":[1,]}`, "invalid-json ", "the body is not JSON: "},
	{`{"inputs":[],}`, "invalid-json ", "the body is not JSON: "},
	{`{'inputs':[]}`, "invalid-json ",
		"the body is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"},
	{`{inputs:[]}`, "invalid-json ",
		"the body is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"},
	{`{"inputs":}`, "invalid-json ", "the body is not JSON: Expecting value: line 1 column 11 (char 10)"},
	{`{"inputs" []}`, "invalid-json ", "the body is not JSON: Expecting ':' delimiter: line 1 column 11 (char 10)"},
	{`{"inputs":[] "x":1}`, "invalid-json ",
		"the body is not JSON: Expecting ',' delimiter: line 1 column 14 (char 13)"},
	{`{"inputs":[]// x` + "\n}", "invalid-json ",
		"the body is not JSON: Expecting ',' delimiter: line 1 column 13 (char 12)"},
	{`{"inputs":[{"name":"x","data":"` + "\n" + `"}]}`, "invalid-json ",
		"the body is not JSON: Invalid control character at: line 1 column 32 (char 31)"},
	{`{"inputs":[{"name":"x","data":"\x"}]}`, "invalid-json ",
		`the body is not JSON: Invalid \escape: line 1 column 32 (char 31)`},
	{`{"inputs":[{"name":"x","data":"\u12"}]}`, "invalid-json ", `the body is not JSON: Invalid \uXXXX escape: `},
	{`{"inputs":[{"name":"x","data":"unended`, "invalid-json ",
		"the body is not JSON: Unterminated string starting at: line 1 column 31 (char 30)"},
	{`{"inputs":[{"name":"x","data":01}]}`, "invalid-json ",
		"the body is not JSON: Expecting ',' delimiter: line 1 column 32 (char 31)"},
	{`{"inputs":[{"name":"x","data":+1}]}`, "invalid-json ",
		"the body is not JSON: Expecting value: line 1 column 31 (char 30)"},
	{`{"inputs":[{"name":"x","data":.5}]}`, "invalid-json ",
		"the body is not JSON: Expecting value: line 1 column 31 (char 30)"},
	{`{"inputs":[{"name":"x","data":0x1}]}`, "invalid-json ",
		"the body is not JSON: Expecting ',' delimiter: line 1 column 32 (char 31)"},
	{`{"inputs":[{"name":"x","data":True}]}`, "invalid-json ",
		"the body is not JSON: Expecting value: line 1 column 31 (char 30)"},
	{`{"inputs":[{"name":"x","data":undefined}]}`, "invalid-json ",
		"the body is not JSON: Expecting value: line 1 column 31 (char 30)"},
	{"{\"inputs\":" + strings.Repeat("[", 100_000), "invalid-json ",
		"the body is not JSON: maximum recursion depth exceeded"},
	{strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), "invalid-json ",
		"the body is not JSON: maximum recursion depth exceeded"},
	{strings.Repeat(`{"a":`, 100_000), "invalid-json ", "the body is not JSON: maximum recursion depth exceeded"},

	{"[]", "invalid-request ", "the body must be an object with inputs"},
	{"1", "invalid-request ", "the body must be an object with inputs"},
	{"-0.0e1", "invalid-request ", "the body must be an object with inputs"},
	{`"x"`, "invalid-request ", "the body must be an object with inputs"},
	{"null", "invalid-request ", "the body must be an object with inputs"},
	{"true", "invalid-request ", "the body must be an object with inputs"},
	{`[{"inputs":[]}]`, "invalid-request ", "the body must be an object with inputs"},
	{`{"inputs":{}}`, "invalid-request /inputs", "inputs must be a list"},
	{`{"inputs":"x"}`, "invalid-request /inputs", "inputs must be a list"},
	{`{"inputs":1}`, "invalid-request /inputs", "inputs must be a list"},
	{`{"inputs":false}`, "invalid-request /inputs", "inputs must be a list"},
	{`{"inputs":[],"inputs":1}`, "invalid-request /inputs", "inputs must be a list"},
	{`{"inputs":[1]}`, "invalid-request /inputs/0", "an input must be an object with name and data"},
	{`{"inputs":["x"]}`, "invalid-request /inputs/0", "an input must be an object with name and data"},
	{`{"inputs":[null]}`, "invalid-request /inputs/0", "an input must be an object with name and data"},
	{`{"inputs":[[]]}`, "invalid-request /inputs/0", "an input must be an object with name and data"},
	{`{"inputs":[{"name":"x","data":1},7]}`, "invalid-request /inputs/1",
		"an input must be an object with name and data"},
	{`{"inputs":[{}]}`, "invalid-request /inputs/0/name", "an input must have a name"},
	{`{"inputs":[{"data":1}]}`, "invalid-request /inputs/0/name", "an input must have a name"},
	{`{"inputs":[{"Name":"x","data":1}]}`, "invalid-request /inputs/0/name", "an input must have a name"},
	{`{"inputs":[{"name":""}]}`, "invalid-request /inputs/0/name", "an input must have a name"},
	{`{"inputs":[{"name":null,"data":1}]}`, "invalid-request /inputs/0/name", "an input must have a name"},
	{`{"inputs":[{"name":1,"data":1}]}`, "invalid-request /inputs/0/name", "an input must have a name"},
	{`{"inputs":[{"name":["x"],"data":1}]}`, "invalid-request /inputs/0/name", "an input must have a name"},
	{`{"inputs":[{"name":"x"}]}`, "invalid-request /inputs/0/data", "input x has no data"},
	{`{"inputs":[{"name":"x","Data":1}]}`, "invalid-request /inputs/0/data", "input x has no data"},
	{`{"inputs":[{"name":"x","data":1},{"name":"y"}]}`, "invalid-request /inputs/1/data", "input y has no data"},
	{`{"inputs":[{"name":"x","data":1,"datatype":"FP32"}]}`, "invalid-request /inputs/0/data",
		"input x must have a list as data of FP32"},
	{`{"inputs":[{"name":"x","data":"1","datatype":"INT32"}]}`, "invalid-request /inputs/0/data",
		"input x must have a list as data of INT32"},
	{`{"inputs":[{"name":"x","data":{},"datatype":"FP64"}]}`, "invalid-request /inputs/0/data",
		"input x must have a list as data of FP64"},
	{`{"inputs":[{"name":"x","data":null,"datatype":"BOOL"}]}`, "invalid-request /inputs/0/data",
		"input x must have a list as data of BOOL"},
	{`{"inputs":[{"name":"x","datatype":"FP32","data":["text",null,{}],"shape":"nonsense"}]}`,
		"invalid-request /inputs/0/data", "input x must have numbers as data of FP32"},
	{`{"inputs":[{"name":"x","datatype":"FP32","data":[1,true]}]}`, "invalid-request /inputs/0/data",
		"input x must have numbers as data of FP32"},
	{`{"inputs":[{"name":"x","datatype":"FP32","data":[[1],2]}]}`, "invalid-request /inputs/0/data",
		"input x has nested data whose rows are not alike"},
	{`{"inputs":[{"name":"x","datatype":"INT32","data":[1.5]}]}`, "invalid-request /inputs/0/data",
		"input x must have integers as data of INT32"},
	{`{"inputs":[{"name":"x","datatype":"INT32","data":[2147483648]}]}`, "invalid-request /inputs/0/data",
		"input x has a number that is no INT32"},
	{`{"inputs":[{"name":"x","datatype":"BOOL","data":[1]}]}`, "invalid-request /inputs/0/data",
		"input x must have true and false as data of BOOL"},
	{`{"inputs":[{"name":"x","datatype":"str","data":5}]}`, "invalid-request /inputs/0/data",
		"input x must have a text, or a list of texts, as data of str"},
	{`{"inputs":[{"name":"x","datatype":"dict","data":"a"}]}`, "invalid-request /inputs/0/data",
		"input x must have an object or a list as data of dict"},
	{`{"input":[{"name":"x","data":1}]}`, "invalid-request /input",
		`the body has no inputs, but 'input'; it is {"inputs": [{"name": …, "data": …}]}`},
	{`{"parameters":[],"instances":[[1]]}`, "invalid-request /instances",
		`the body has no inputs, but 'instances'; it is {"inputs": [{"name": …, "data": …}]}`},
	{`{"inputs":[{"name":"x","data":1,"datatype":"float"}]}`, "invalid-request /inputs/0/datatype",
		"input x: unknown datatype 'float'"},
	{`{"inputs":[{"name":"x","data":[1],"datatype":"fp32"}]}`, "invalid-request /inputs/0/datatype",
		"input x: unknown datatype 'fp32'"},
	{`{"inputs":[{"name":"x","data":"x","datatype":"STR"}]}`, "invalid-request /inputs/0/datatype",
		"input x: unknown datatype 'STR'"},
	{`{"inputs":[{"name":"x","data":[1],"datatype":" FP32"}]}`, "invalid-request /inputs/0/datatype",
		"input x: unknown datatype ' FP32'"},
	{`{"inputs":[{"name":"x","data":1,"datatype":""}]}`, "invalid-request /inputs/0/datatype",
		"input x: unknown datatype ''"},
	{`{"inputs":[{"name":"x","data":1,"datatype":7}]}`, "invalid-request /inputs/0/datatype",
		"input x: unknown datatype 7"},
	{`{"inputs":[{"name":"x","data":1,"datatype":true}]}`, "invalid-request /inputs/0/datatype",
		"input x: unknown datatype True"},
	{`{"inputs":[],"parameters":1}`, "invalid-request /parameters", "parameters must be a list"},
	{`{"inputs":[],"parameters":"x"}`, "invalid-request /parameters", "parameters must be a list"},
	{`{"inputs":[],"parameters":false}`, "invalid-request /parameters", "parameters must be a list"},
	{`{"inputs":[],"output_fields":"x"}`, "invalid-request /output_fields", "output_fields must be a list"},
	{`{"inputs":[],"output_fields":1.5}`, "invalid-request /output_fields", "output_fields must be a list"},
}

func TestMalformedBodies(t *testing.T) {
	t.Parallel()
	c := startPython(t, "-S", echo, "echo").awaitReady()
	for _, x := range malformedBodies {
		a := c.predict(400, x.body)
		pointer := "-"
		if len(a.Errors) == 1 {
			pointer = a.Errors[0].Pointer
		}
		if got := a.slug() + " " + pointer; got != x.want {
			t.Errorf("%.60q: %s %q, want %s", x.body, got, a.Detail, x.want)
		}
		// Of Python's own words about JSON only the beginning is compared: what follows differs
		// between its versions.
		if !strings.HasPrefix(a.Detail, x.detail) || x.want != "invalid-json " && a.Detail != x.detail {
			t.Errorf("%.60q: %q, want %q", x.body, a.Detail, x.detail)
		}
		if h := a.header; h.Get("Content-Type") != "application/problem+json" || h.Get("Cache-Control") != "no-store" ||
			h.Get("X-Request-Id") == "" {
			t.Errorf("%.60q: %v", x.body, h)
		}
	}
	c.predict(200, `{"inputs":[]}`) // it still answers
}

// What clients of the platform send loosely, and what only the function can judge, is accepted;
// {body, the outputs of a function that returns its inputs}.
func TestTolerated(t *testing.T) {
	t.Parallel()
	c := startPython(t, "-S", echo, "echo").awaitReady()
	for _, x := range []struct{ body, want string }{
		{`{"inputs":[],"unknown":{"a":1}}`, `[]`},
		{`{"inputs":1,"inputs":[]}`, `[]`}, // of two keys the last counts
		{`{"inputs":[{"name":"x","data":1,"name":"y"}]}`, `[{"name":"y","datatype":"INT64","shape":[1],"data":[1]}]`},
		{`{"inputs":[{"name":"x","data":[NaN,Infinity,-Infinity]}]}`, `[{"name":"x","datatype":"FP64","shape":[3],"data":[null,null,null]}]`},
		{`{"inputs":[{"name":"x","data":1e400}]}`, `[{"name":"x","datatype":"FP64","shape":[1],"data":[null]}]`},
		{`{"inputs":[{"name":"x","data":123456789012345678901234567890}]}`,
			`[{"name":"x","datatype":"dict","data":123456789012345678901234567890}]`},
		{`{"inputs":[{"name":"x","data":"\ud800"}]}`, `[{"name":"x","datatype":"str","data":"\ud800"}]`},
		{`{"inputs":[{"name":"x","data":"\u0000"}]}`, `[{"name":"x","datatype":"str","data":"\u0000"}]`},
		{`{"inputs":[{"name":"x","datatype":"FP32","data":[1,null],"shape":"nonsense"}]}`,
			`[{"name":"x","datatype":"FP32","data":[1,null],"shape":"nonsense"}]`},
		{`{"inputs":[{"name":"x","datatype":"FP32","data":[[1,2],[3,4]]}]}`,
			`[{"name":"x","datatype":"FP32","data":[1,2,3,4],"shape":[2,2]}]`},
		{`{"inputs":[{"name":"x","datatype":"INT32","data":[1.0,2]}]}`,
			`[{"name":"x","datatype":"INT32","data":[1,2],"shape":[2]}]`},
		{`{"inputs":[{"name":"x","datatype":"FP32","data":[1,2,3],"shape":[-1,0]}]}`,
			`[{"name":"x","datatype":"FP32","data":[1,2,3],"shape":[-1,0]}]`},
		{`{"inputs":[{"name":"x","datatype":null,"data":null,"shape":null,"content_type":7}]}`,
			`[{"name":"x","datatype":null,"data":null,"shape":null,"content_type":7}]`},
		{`{"inputs":[{"name":"x","data":1}],"output_fields":[1,null,{"name":["x"]},{}]}`, `[{"name":"x","datatype":"INT64","shape":[1],"data":[1]}]`},
		{`{"inputs":[{"name":"x","data":1}],"output_fields":{"x":1},"parameters":{"a":1},"model_key":["any"]}`,
			`[{"name":"x","datatype":"INT64","shape":[1],"data":[1]}]`},
		{`{"inputs":[{"name":"x","data":1}],"parameters":[1,null,"x"]}`, `[{"name":"x","datatype":"INT64","shape":[1],"data":[1]}]`},
		{" \t\r\n{\"inputs\":[]}\n ", `[]`},
		{"\xef\xbb\xbf{\"inputs\":[]}", `[]`}, // a byte order mark
	} {
		a := c.predict(200, x.body)
		if !sameJSON(t, a.body, `{"outputs":`+x.want+`}`) {
			t.Errorf("%s: %s, want %s", x.body, a.body, x.want)
		}
	}
}

// What is no HTTP is answered by Go's server, in plain text, and the connection is closed: {bytes
// sent, status, the body's beginning, Connection: close}. "-" is no answer at all.
func TestMalformedHTTP(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo", func(o *setup) { o.maxBody = 1 << 20 }).awaitReady()
	const ok, host = `{"inputs":[]}`, "Host: x\r\n"
	for name, x := range map[string]struct {
		send   string
		status int
		body   string
	}{
		"no request line": {"\r\n\r\n", 400, "400 Bad Request"},
		"garbage": {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400,
			"400 Bad Request"},
		"two words": {"POST /predict\r\n\r\n", 400, "400 Bad Request"},
		"HTTP/3.0": {"POST /predict HTTP/3.0\r\n" + host + "\r\n", 505,
			"505 HTTP Version Not Supported"},
		"HTTP/0.9":      {"GET /healthz HTTP/0.9\r\n\r\n", 505, "505 HTTP Version Not Supported"},
		"bad version":   {"GET /healthz HTTX/1.1\r\n" + host + "\r\n", 400, "400 Bad Request"},
		"bad method":    {"PO(ST /predict HTTP/1.1\r\n" + host + "\r\n", 400, "400 Bad Request"},
		"bad escape":    {"POST /%zz HTTP/1.1\r\n" + host + "\r\n", 400, "400 Bad Request"},
		"blank in path": {"POST /pre dict HTTP/1.1\r\n" + host + "\r\n", 400, "400 Bad Request"},
		"no Host": {"POST /predict HTTP/1.1\r\n\r\n", 400,
			"400 Bad Request: missing required Host header"},
		"two Hosts": {"POST /predict HTTP/1.1\r\n" + host + host + "\r\n", 400, "400 Bad Request"},
		"bad Host": {"POST /predict HTTP/1.1\r\nHost: a b\r\n\r\n", 400,
			"400 Bad Request: malformed Host header"},
		"header without colon": {"POST /predict HTTP/1.1\r\n" + host + "nothing\r\n\r\n", 400,
			"400 Bad Request"},
		"blank before colon": {"POST /predict HTTP/1.1\r\n" + host + "X-A : 1\r\n\r\n", 400,
			"400 Bad Request"},
		"NUL in header": {"POST /predict HTTP/1.1\r\n" + host + "X-A: \x00\r\n\r\n", 400,
			"400 Bad Request"},
		"folded header": {"GET /healthz HTTP/1.1\r\n" + host + "X-A: 1\r\n 2\r\n\r\n", 200, ""},
		"headers too large": {"POST /predict HTTP/1.1\r\n" + host + "X-A: " + strings.Repeat("a",
			100<<10) + "\r\n\r\n", 431, "431 Request Header Fields Too Large"},
		"negative length": {"POST /predict HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400,
			"400 Bad Request"},
		"length of words": {"POST /predict HTTP/1.1\r\n" + host + "Content-Length: ten\r\n\r\n", 400,
			"400 Bad Request"},
		"length beyond int64": {
			"POST /predict HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\n", 400,
			"400 Bad Request"},
		"two lengths": {
			"POST /predict HTTP/1.1\r\n" + host + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400,
			"400 Bad Request"},
		"unknown transfer encoding": {"POST /predict HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 501,
			"Unsupported transfer encoding"},
		"two transfer encodings": {
			"POST /predict HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501,
			"Unsupported transfer encoding"},
		"unknown expectation": {
			"POST /predict HTTP/1.1\r\n" + host + "Expect: miracle\r\nContent-Length: 13\r\n\r\n" + ok, 417, ""},
		"no end of chunks": {
			"POST /predict HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad-request"},
		"chunk shorter than it says": {
			"POST /predict HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\n{}\r\n0\r\n\r\n", 400,
			"bad-request"},
		"chunk of a negative length": {
			"POST /predict HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400, "bad-request"},
		"chunk of an endless length": {
			"POST /predict HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400,
			"bad-request"},
		"announced too large": {"POST /predict HTTP/1.1\r\n" + host + "Content-Length: 1048577\r\n\r\n", 413,
			"body-too-large"},
		"announced much too large": {
			"POST /predict HTTP/1.1\r\n" + host + "Content-Length: 9223372036854775807\r\n\r\n", 413, "body-too-large"},
		"too large, waits to be asked": {
			"POST /predict HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n", 413,
			"body-too-large"},
		"chunks too large": {
			"POST /predict HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n100001\r\n" + strings.Repeat(" ",
				1<<20+1) + "\r\n0\r\n\r\n", 413, "body-too-large"},
		"as large as may be": {
			"POST /predict HTTP/1.1\r\n" + host + "Content-Length: 1048576\r\n\r\n" + ok + strings.Repeat(" ",
				1<<20-len(ok)), 200, `{"outputs":[]}`},
		"chunked": {
			"POST /predict HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n" + ok[:5] + "\r\n8\r\n" +
				ok[5:] + "\r\n0\r\nX-Trailer: 1\r\n\r\n", 200, `{"outputs":[]}`},
		"HTTP/1.0": {"POST /predict HTTP/1.0\r\nContent-Length: 13\r\n\r\n" + ok, 200,
			`{"outputs":[]}`},
		"HTTP/1.0 without a length": {"POST /predict HTTP/1.0\r\n\r\n" + ok, 400, "invalid-json"},
		"no body":                   {"POST /predict HTTP/1.1\r\n" + host + "\r\n", 400, "invalid-json"},
		"more than the length": {
			"POST /predict HTTP/1.1\r\n" + host + "Connection: close\r\nContent-Length: 13\r\n\r\n" + ok + "garbage",
			200, `{"outputs":[]}`},
		"another content type": {
			"POST /predict HTTP/1.1\r\n" + host + "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\n" + ok, 200,
			`{"outputs":[]}`},
		"absolute URL": {
			"POST http://y/predict HTTP/1.1\r\n" + host + "Content-Length: 13\r\n\r\n" + ok, 200, `{"outputs":[]}`},
		"another method": {"PUT /predict HTTP/1.1\r\n" + host + "Content-Length: 13\r\n\r\n" + ok, 405,
			"method-not-allowed"},
		"CONNECT": {"CONNECT x:1 HTTP/1.1\r\n" + host + "\r\n", 404, "404 page not found"},
		"star":    {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 200, ""},
		"dots": {"POST /a/../predict HTTP/1.1\r\n" + host + "Content-Length: 13\r\n\r\n" + ok,
			307, ""},
		"another path": {"POST /predict/x HTTP/1.1\r\n" + host + "Content-Length: 13\r\n\r\n" + ok, 404,
			"not-found"},
		"metrics are not public": {"GET /metrics HTTP/1.1\r\n" + host + "\r\n", 404, "not-found"},
		"upgrade": {
			"GET /healthz HTTP/1.1\r\n" + host + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 200, ""},
		"HTTP/2 at once": {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp := c.raw(t, x.send)
			if resp == nil {
				t.Fatal("no answer")
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Error(err)
			}
			if resp.StatusCode != x.status || !strings.Contains(string(b), x.body) {
				t.Errorf("%d %q, want %d %q", resp.StatusCode, b, x.status, x.body)
			}
			if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem") {
				var p struct {
					Type, Title, Detail string
					Status              int
				}
				if err := json.Unmarshal(b, &p); err != nil || p.Status != x.status || p.Title == "" ||
					p.Detail == "" || !strings.HasSuffix(p.Type, "/"+x.body) {
					t.Errorf("%s: %v", b, err)
				}
			}
			// of a body that has come nothing is left to be read as another call
			if ends := name != "chunks too large" && (x.status == http.StatusRequestEntityTooLarge ||
				strings.HasPrefix(x.body, "400 ")); ends && !resp.Close {
				t.Error("the connection goes on")
			}
		})
	}
}

// Of two requests on one connection each has its own answer, in turn; a caller that leaves in the
// middle of a body or before the answer disturbs nobody.
func TestPipeliningAndEarlyEnds(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo").awaitReady()
	send := ""
	for i := range 5 {
		body := fmt.Sprintf(`{"inputs":[{"name":"n","data":%d}]}`, i)
		send += fmt.Sprintf("POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	for i, got := range c.pipeline(t, send, 5) {
		if want := fmt.Sprintf(`{"outputs":[{"name":"n","data":[%d],"datatype":"INT64","shape":[1]}]}`, i); got != want {
			t.Errorf("%d: %s", i, got)
		}
	}
	for _, part := range []string{"P", "POST /predict HTTP/1.1\r\nHost:",
		"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
		"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"} {
		c.leave(t, part)
	}
	c.predict(200, `{"inputs":[]}`)
	eventually(t, "no request under way", func() bool {
		return strings.Contains(scrape(t, c),
			"http_server_active_requests 0")
	})
}
