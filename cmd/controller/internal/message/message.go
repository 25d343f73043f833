// Package message makes other people's text fit for a status, an event or a log line: what a container, a user, a
// registry or an S3 server has said is shown to people in a terminal, and must neither move their cursor nor pass for
// further lines.
package message

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxBytes bounds what OneLine takes over.
const maxBytes = 400

// OneLine is the text on one line, as Printable has it, and cut after 400 bytes.
func OneLine(s string) string {
	if len(s) > 8*maxBytes { // what is cut off need not be read
		s = s[:8*maxBytes]
	}
	s = Printable(strings.Join(strings.Fields(s), " "))
	if len(s) > maxBytes {
		s = strings.ToValidUTF8(s[:maxBytes], "") + "…"
	}
	return s
}

// Printable is the text with everything in it that a terminal would obey or not show, such as ESC, line breaks and
// marks that turn the direction of writing, in a visible form: "\x1b", "\u202e". Bytes that are no UTF-8 become "?".
// Doing it twice changes nothing more.
func Printable(s string) string {
	if printable(s) {
		return s
	}
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "?") {
		switch {
		case strconv.IsPrint(r):
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String()
}

func printable(s string) bool {
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}
