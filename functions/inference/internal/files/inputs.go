package files

import (
	"bytes"
	"encoding/json"
)

// input is a FILE input of a request.
type input struct {
	index int
	data  json.RawMessage
}

// Mentions reports whether a body may hold a FILE input: it has the word, or an escape of one of the word's letters (F \u0046, I \u0049, L \u004c, E \u0045). Others need no reading here.
func Mentions(body []byte) bool {
	return bytes.Contains(body, []byte(`"FILE"`)) || bytes.Contains(body, []byte(`\u004`))
}

// inputsOf finds the FILE inputs of a request. Keys are compared as the worker compares them, to the letter, and of two equal ones the last counts. A body of another form has none: the worker says what is
// wrong with it.
func inputsOf(body []byte) []input {
	var request map[string]json.RawMessage
	var all []map[string]json.RawMessage
	if json.Unmarshal(body, &request) != nil || json.Unmarshal(request["inputs"], &all) != nil {
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
