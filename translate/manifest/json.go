package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"
)

// What is JSON is read as JSON: YAML knows neither a letter that is written as two \u, nor \/, nor
// values that come one after the other.

// errJSON is what stops the reading of JSON, and where.
type errJSON struct {
	at      place
	message string
}

func (e *errJSON) Error() string { return e.message }

// jsonValues are the values of a text that holds nothing else, but marks between documents. With an
// error, which has a place where a value goes wrong, they are those before.
func jsonValues(text []byte) (values []*yaml.Node, err error) {
	for at := begin; ; {
		rest := afterMarks(text)
		at = at.after(text[:len(text)-len(rest)])
		if text = rest; len(text) == 0 {
			return values, nil
		}
		if text[0] != '{' {
			return values, errors.New("no JSON object")
		}
		var value json.RawMessage
		d := json.NewDecoder(bytes.NewReader(text))
		if err := d.Decode(&value); err != nil {
			end := len(text)
			if s, ok := errors.AsType[*json.SyntaxError](err); ok {
				end = min(end, max(int(s.Offset)-1, 0))
			}
			return values, &errJSON{at.after(text[:end]), "not valid JSON: " + err.Error()}
		}
		n, err := readJSON(value, func(before []byte) place { at = at.after(before); return at })
		if err != nil {
			return values, &errJSON{at, err.Error()}
		}
		at.column++ // it was the place of the closing brace
		values = append(values, n)
		text = text[d.InputOffset():]
	}
}

// afterMarks is a text without the blank lines and the marks between documents at its beginning.
func afterMarks(text []byte) []byte {
	for {
		text = bytes.TrimLeft(text, " \t\r\n")
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if mark := string(bytes.TrimSpace(line)); mark != "---" && mark != "..." {
			return text
		}
		text = rest
	}
}

// jsonReader makes of JSON the tree that YAML would give; repeated keys stay.
type jsonReader struct {
	*json.Decoder
	text  []byte
	begun int64 // how much of text has a place
	// place is that of what stands behind some more text.
	place func(before []byte) place
}

// readJSON reads one value, which is known to be JSON.
func readJSON(text []byte, place func(before []byte) place) (*yaml.Node, error) {
	r := &jsonReader{json.NewDecoder(bytes.NewReader(text)), text, 0, place}
	r.UseNumber()
	return r.value(0)
}

// next is a token, and its place.
func (r *jsonReader) next() (json.Token, place, error) {
	from := r.InputOffset()
	for from < int64(len(r.text)) && strings.IndexByte(" \t\r\n,:", r.text[from]) >= 0 {
		from++
	}
	at := r.place(r.text[r.begun:from])
	r.begun = from
	token, err := r.Token()
	return token, at, err
}

func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("deeper than %d levels", maxDepth)
	}
	token, at, err := r.next()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: at.line, Column: at.column}
	switch t := token.(type) {
	case json.Delim:
		n.Kind, n.Tag, n.Style = yaml.SequenceNode, "!!seq", yaml.FlowStyle
		if t == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for r.More() { // keys and values of an object come one after the other, as a mapping has them
			c, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, c)
		}
		_, _, err := r.next()
		return n, err
	case string:
		n.Tag, n.Value, n.Style = "!!str", t, yaml.DoubleQuotedStyle
	case json.Number:
		n.Tag, n.Value = "!!int", t.String()
		if strings.ContainsAny(n.Value, ".eE") {
			n.Tag = "!!float"
		}
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(t)
	case nil:
		n.Tag, n.Value = "!!null", "null"
	default:
		return nil, io.ErrUnexpectedEOF
	}
	return n, nil
}
