// Package printable makes other people's text safe to show: what a container, a user, a registry or
// a storage has said, in a status, an event, a log or a terminal.
//
// Whatever comes out is valid UTF-8. No character in it steers a terminal, ends a line that goes
// on, or turns the direction of writing. Such a character, and a byte that is no UTF-8, is shown as
// Go writes it in a string: \x1b, \n, \u202e, \xff. Text that is safe already stays as it is, so
// doing it twice changes nothing.
package printable

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line is the text as one line: line ends and tabs are shown too.
func Line(s string) string { return string(appendEscaped(nil, []byte(s), "")) }

// Text is the text with lines and tabs of its own.
func Text(s string) string { return string(appendEscaped(nil, []byte(s), lineEndsAndTabs)) }

// lineEndsAndTabs may stand in a text of several lines.
const lineEndsAndTabs = "\n\t"

// Summary is the beginning of the text on one line: white space between words becomes one blank. It
// has at most maxBytes bytes, and "…" after them where something was left out. It reads no more
// than it needs.
func Summary(s string, maxBytes int) string {
	var out []byte
	blank := false
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		char := []byte(s[:n])
		s = s[n:]
		if unicode.IsSpace(r) {
			blank = len(out) > 0
			continue
		}
		end := len(out)
		if blank {
			out = append(out, ' ')
		}
		blank = false
		if out = appendEscaped(out, char, ""); len(out) > maxBytes {
			return string(out[:end]) + "…"
		}
	}
	return string(out)
}

// JSON is the same JSON for every reader, in printable characters. JSON itself escapes those below
// U+0020; the others stand in strings and may be escaped there.
func JSON(b []byte) []byte {
	var out []byte
	for _, r := range string(b) {
		switch {
		case strings.ContainsRune("\n\t\r", r), harmless(r):
			out = utf8.AppendRune(out, r)
		case r <= 0xffff:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		}
	}
	return out
}

// joiners are in words of some scripts and in emoji.
const joiners = "\u200c\u200d"

func harmless(r rune) bool { return unicode.IsGraphic(r) || strings.ContainsRune(joiners, r) }

// appendEscaped adds text to out, all of it printable but the characters to keep.
func appendEscaped(out, text []byte, keep string) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			out = fmt.Appendf(out, `\x%02x`, text[0])
		case harmless(r), strings.ContainsRune(keep, r):
			out = append(out, text[:n]...)
		case r == '\n':
			out = append(out, `\n`...)
		case r == '\r':
			out = append(out, `\r`...)
		case r == '\t':
			out = append(out, `\t`...)
		case r < utf8.RuneSelf:
			out = fmt.Appendf(out, `\x%02x`, r)
		case r <= 0xffff:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = fmt.Appendf(out, `\U%08x`, r)
		}
		text = text[n:]
	}
	return out
}

// Writer writes Text of what it is given. It is for one goroutine at a time.
type Writer struct {
	to   io.Writer
	rest []byte // of a character that has not ended
}

// NewWriter is a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{to: w} }

// Write takes any piece of the text.
func (w *Writer) Write(b []byte) (int, error) {
	all := append(w.rest, b...) //nolint:gocritic // the rest is gone after it
	end := len(all)
	for i := 1; i < utf8.UTFMax && i <= len(all); i++ {
		if tail := all[len(all)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				end -= i
			}
			break
		}
	}
	_, err := w.to.Write(appendEscaped(nil, all[:end], lineEndsAndTabs))
	w.rest = append([]byte(nil), all[end:]...)
	return len(b), err
}

// Flush writes what has not become a character.
func (w *Writer) Flush() error {
	_, err := w.to.Write(appendEscaped(nil, w.rest, lineEndsAndTabs))
	w.rest = nil
	return err
}
