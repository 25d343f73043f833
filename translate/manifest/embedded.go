package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"gopkg.in/yaml.v3"
)

// maxEmbedded bounds JSON in an annotation: all annotations of an object are at most 256 KiB in
// Kubernetes.
const maxEmbedded = 256 << 10

// embedded decodes JSON that stands in a string, as strictly as the manifest around it. Every place
// in it is the string's.
func (d *decoder) embedded(text Text, name string, v any) bool {
	n, err := jsonNode(text)
	if err != nil {
		d.found.Errorf(text.At, "%s: %v", name, err)
		return false
	}
	return d.decode(n, reflect.ValueOf(v).Elem(), name)
}

// jsonNode reads one JSON value. All of it has the place of the text.
func jsonNode(text Text) (*yaml.Node, error) {
	if len(text.Value) > maxEmbedded {
		return nil, fmt.Errorf("longer than %d bytes", maxEmbedded)
	}
	var any json.RawMessage
	// the whole of it, for a decoder's tokens are more lenient
	if err := json.Unmarshal([]byte(text.Value), &any); err != nil {
		if s, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, fmt.Errorf("not valid JSON at character %d: %w", len([]rune(text.Value[:s.Offset])), s)
		}
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	return readJSON(any, func([]byte) place { return place{text.At.Line, text.At.Column} })
}
