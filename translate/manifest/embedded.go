package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

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

// jsonNode reads one JSON value as the tree that YAML would give; repeated keys stay.
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
	d := json.NewDecoder(strings.NewReader(text.Value))
	d.UseNumber()
	return (&jsonReader{d, text.At}).value(0)
}

type jsonReader struct {
	*json.Decoder
	at Position
}

func (r *jsonReader) node(kind yaml.Kind, tag, value string) *yaml.Node {
	return &yaml.Node{Kind: kind, Tag: tag, Value: value, Line: r.at.Line, Column: r.at.Column}
}

func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("deeper than %d levels", maxDepth)
	}
	token, err := r.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		n := r.node(yaml.SequenceNode, "!!seq", "")
		if t == '{' {
			n = r.node(yaml.MappingNode, "!!map", "")
		}
		for r.More() { // keys and values of an object come one after the other, as a mapping has them
			c, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, c)
		}
		_, err := r.Token()
		return n, err
	case string:
		return r.node(yaml.ScalarNode, "!!str", t), nil
	case json.Number:
		tag := "!!int"
		if bytes.ContainsAny([]byte(t), ".eE") {
			tag = "!!float"
		}
		return r.node(yaml.ScalarNode, tag, t.String()), nil
	case bool:
		return r.node(yaml.ScalarNode, "!!bool", fmt.Sprint(t)), nil
	case nil:
		return r.node(yaml.ScalarNode, "!!null", "null"), nil
	}
	return nil, io.ErrUnexpectedEOF
}
