package output

import (
	"io"

	"github.com/unip-knative/unip/eventing/plainjson"
	"github.com/unip-knative/unip/eventing/printable"
)

// WriteJSON writes v indented, in printable characters. Nothing is written when v cannot be
// encoded.
func WriteJSON(w io.Writer, v any) error { return writeJSON(w, v, "  ") }

// WriteJSONLine writes v on one line, in printable characters.
func WriteJSONLine(w io.Writer, v any) error { return writeJSON(w, v, "") }

func writeJSON(w io.Writer, v any, indent string) error {
	b, err := plainjson.MarshalIndent(v, indent)
	if err != nil {
		return err
	}
	_, err = w.Write(printable.JSON(append(b, '\n')))
	return err
}
