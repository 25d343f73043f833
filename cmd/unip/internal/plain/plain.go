// Package plain makes what others have written safe to show: in a run's message, a file's name or a log
// no character reaches a terminal that steers it, ends a line that goes on, or turns the direction of
// writing. Such a character is shown as Go writes it in a string: \x1b, \n, \u202e.
package plain

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line is text as one line: line ends and tabs are shown too.
func Line(s string) string { return string(escape(nil, []byte(s), "")) }

// Text is text that may have lines and tabs of its own.
func Text(s string) string { return string(escape(nil, []byte(s), "\n\t")) }

// JSON is the same JSON for every reader, without a character that steers a terminal: those below U+0020
// JSON escapes itself, the others stand in strings and may be escaped there.
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

func escape(out, b []byte, keep string) []byte {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			out = fmt.Appendf(out, `\x%02x`, b[0])
		case harmless(r), strings.ContainsRune(keep, r):
			out = append(out, b[:n]...)
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
		b = b[n:]
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
	_, err := w.to.Write(escape(nil, all[:end], "\n\t"))
	w.rest = append([]byte(nil), all[end:]...)
	return len(b), err
}

// Flush writes what has not become a character.
func (w *Writer) Flush() error {
	_, err := w.to.Write(escape(nil, w.rest, "\n\t"))
	w.rest = nil
	return err
}

// Terminal reports that people look at what is written.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
