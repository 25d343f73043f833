// Package plainjson writes JSON that people read and copy: &, < and > stand as they are.
// encoding/json writes \u0026 for a &, for pages that have JSON in a script of theirs. A link that
// is copied out of such an answer is another link.
package plainjson

import (
	"bytes"
	"encoding/json"
)

// Marshal is json.Marshal for people.
func Marshal(v any) ([]byte, error) { return marshal(v, "") }

// MarshalIndent is json.MarshalIndent for people, without a prefix.
func MarshalIndent(v any, indent string) ([]byte, error) { return marshal(v, indent) }

func marshal(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
