package encode

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPlain bounds what is written without quotes.
const maxPlain = 120

func (e *emitter) spaces(n int) {
	for range n {
		e.out = append(e.out, ' ')
	}
}

// text writes a string: bare, as a literal block (unless indent is -1), or in double quotes.
func (e *emitter) text(s string, indent int) {
	switch {
	case bare(s):
		e.out = append(e.out, s...)
	case indent >= 0 && literal(s):
		e.out = append(e.out, '|')
		if !strings.HasSuffix(s, "\n") {
			e.out = append(e.out, '-')
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
			e.out = append(e.out, '\n')
			if line != "" {
				e.spaces(indent)
				e.out = append(e.out, line...)
			}
		}
	default:
		e.quoted(s)
	}
}

// words are what YAML 1.1 or 1.2 takes for something else than text.
var words = map[string]bool{
	"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true, "true": true, "false": true, "null": true,
}

// maxWord is how long they are at most.
const maxWord = 5

// units of quantities and times: a number with one of them is text.
var units = []string{"m", "s", "h", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi"}

// bare reports that a string without quotes is that string to every reader: letters first, nothing
// in it that means something.
func bare(s string) bool {
	if s == "" || len(s) > maxPlain || s[len(s)-1] == ':' || s == "--" ||
		(len(s) <= maxWord && words[strings.ToLower(s)]) {
		return false
	}
	if '0' <= s[0] && s[0] <= '9' {
		return slices.Contains(units, strings.TrimLeft(s, "0123456789"))
	}
	s = strings.TrimPrefix(s, "--") // an option of a command
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || (c == '/' && i == 0):
		case i > 0 && ('0' <= c && c <= '9' || strings.IndexByte("-_./@+:=", c) >= 0):
		default:
			return false
		}
	}
	return true
}

// literal reports that a text of several lines can stand as a block: nothing in it that a block
// would change.
func literal(s string) bool {
	if !strings.Contains(s, "\n") || s[0] == ' ' || s[0] == '\n' || strings.HasSuffix(s, "\n\n") {
		return false
	}
	for line := range strings.SplitSeq(s, "\n") {
		if line != "" && (line[len(line)-1] == ' ' || strings.Trim(line, " ") == "") {
			return false
		}
	}
	for i, r := range s {
		if r != '\n' && (steers(r) || r >= 0xfff0) {
			return false
		}
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd") {
			return false
		}
	}
	return true
}

// steers reports control characters, line and paragraph separators, the byte order mark, and marks
// of direction.
func steers(r rune) bool {
	return r < ' ' || (r >= 0x7f && r < 0xa0) || r == 0x2028 || r == 0x2029 || r == 0xfeff ||
		unicode.Is(unicode.Bidi_Control, r)
}

// quoted writes a string as JSON does, with what YAML does not take as it is escaped. Bytes that
// are no UTF-8 become U+FFFD, as in every encoder of Kubernetes.
func (e *emitter) quoted(s string) {
	e.out = append(e.out, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			e.out = append(e.out, '\\', byte(r))
		case r == '\n':
			e.out = append(e.out, '\\', 'n')
		case r == '\t':
			e.out = append(e.out, '\\', 't')
		case steers(r) || r == 0xfffe || r == 0xffff:
			e.out = fmt.Appendf(e.out, `\u%04x`, r)
		default:
			e.out = utf8.AppendRune(e.out, r)
		}
	}
	e.out = append(e.out, '"')
}
