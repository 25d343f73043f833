package files

import (
	"bytes"
	"encoding/json"
	"strings"
)

// input is a FILE input of a request.
type input struct {
	index int
	data  json.RawMessage
}

// Mentions reports whether a body may hold a FILE input: it has the word, or an escape of one of
// the word's letters (F \u0046, I \u0049, L \u004c, E \u0045). Others need no reading here.
func Mentions(body []byte) bool {
	return bytes.Contains(body, []byte(`"FILE"`)) || bytes.Contains(body, []byte(`\u004`))
}

// strict is a body with zeros in the places of NaN and Infinity, which Python's json writes and the
// worker reads.
func strict(body []byte) []byte {
	body = bytes.Clone(body)
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			for i++; i < len(body) && body[i] != '"'; i++ {
				if body[i] == '\\' {
					i++
				}
			}
		case 'N', 'I':
			for _, word := range []string{"NaN", "Infinity"} {
				if bytes.HasPrefix(body[i:], []byte(word)) {
					copy(body[i:], "0"+strings.Repeat(" ", len(word)-1))
					break
				}
			}
		}
	}
	return body
}

// inputsOf finds the FILE inputs of a request. Keys are compared as the worker compares them, to
// the letter, and of two equal ones the last counts. A body of another form has none: the worker
// says what is wrong with it.
func inputsOf(body []byte) []input {
	var request map[string]json.RawMessage
	var all []map[string]json.RawMessage
	if json.Unmarshal(body, &request) != nil {
		request = nil
		if !bytes.Contains(body, []byte("NaN")) && !bytes.Contains(body, []byte("Infinity")) ||
			json.Unmarshal(strict(body), &request) != nil {
			return nil
		}
	}
	if json.Unmarshal(request["inputs"], &all) != nil {
		return nil
	}
	var found []input
	for i, x := range all {
		var datatype string
		if json.Unmarshal(x["datatype"], &datatype) == nil && datatype == "FILE" {
			found = append(found, input{i, x["data"]})
		}
	}
	return found
}
