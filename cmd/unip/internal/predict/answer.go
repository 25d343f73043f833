package predict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/unip-knative/unip/eventing/printable"
)

// maxValues of a list that are shown.
const maxValues = 10

// Text writes an answer for people: a line NAME: VALUE for each output; of long lists the first
// values, and how many there are. An answer of another form stays as it is. Characters that steer a
// terminal are escaped.
func Text(answer []byte) string {
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	var a struct {
		Outputs []struct {
			Name  string
			Shape any
			Data  any
		}
	}
	if d.Decode(&a) != nil || a.Outputs == nil {
		return printable.Text(strings.TrimRight(string(answer), "\n")) + "\n"
	}
	var b strings.Builder
	for _, o := range a.Outputs {
		fmt.Fprintf(&b, "%s: %s\n", printable.Line(o.Name), printable.Text(valueText(o.Data, o.Shape)))
	}
	return b.String()
}

func valueText(data, shape any) string {
	list, ok := data.([]any)
	switch {
	case !ok:
		return scalarText(data)
	case len(list) == 1:
		return scalarText(list[0])
	}
	shown := make([]string, 0, maxValues)
	for _, x := range list[:min(len(list), maxValues)] {
		shown = append(shown, scalarText(x))
	}
	s := "[" + strings.Join(shown, ", ")
	if len(list) > maxValues {
		s += fmt.Sprintf(", … %d in all", len(list))
	}
	if dimensions, ok := shape.([]any); ok && len(dimensions) > 1 {
		return fmt.Sprintf("%s] %v", s, dimensions)
	}
	return s + "]"
}

// scalarText is a single value: text as it is, everything else as JSON.
func scalarText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil { // it has just been decoded
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}
