package manifest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"unicode/utf16"
	"unicode/utf8"
)

// place is where something is in a text.
type place struct{ line, column int }

// begin is the place of the first letter.
var begin = place{1, 1}

// after is the place behind a text that begins at p.
func (p place) after(text []byte) place {
	if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
		p = place{p.line + bytes.Count(text, []byte("\n")), 1}
		text = text[i+1:]
	}
	p.column += utf8.RuneCount(text)
	return p
}

// textOf is a file's text as UTF-8, without the byte order marks that programs of Windows write.
// Where there is none, wrong says why, and at where.
func textOf(data []byte) (text []byte, at place, wrong string) {
	if order := wide(data); order != nil {
		if data, wrong = fromUTF16(data, order); wrong != "" {
			return nil, begin.after(data), wrong
		}
	}
	if !utf8.Valid(data) {
		good := 0
		for r, n := utf8.DecodeRune(data); r != utf8.RuneError || n > 1; r, n = utf8.DecodeRune(data[good:]) {
			good += n
		}
		return nil, begin.after(data[:good]), fmt.Sprintf("not UTF-8 text: the byte 0x%02x is of another encoding "+
			"(of Cyrillic often windows-1251); save the file as UTF-8", data[good])
	}
	if bytes.Contains(data, []byte(byteOrderMark)) {
		data = markBefore.ReplaceAll(data, []byte("$1"))
		data = markBehind.ReplaceAll(data, []byte("$1"))
	}
	return data, begin, ""
}

// byteOrderMark stands at the beginning of a file, and so of each document of files that were put
// one behind the other: before the mark between documents, or behind it.
const byteOrderMark = "\ufeff"

var (
	markBefore = regexp.MustCompile(`(?m)^` + byteOrderMark + `(---|\.\.\.)`)
	markBehind = regexp.MustCompile(`(?m)(\A|^(?:---|\.\.\.)[^\n]*\n)` + byteOrderMark)
)

// wide is the byte order of a text in UTF-16, nil for another one. Without a byte order mark the
// first letter tells, as YAML says, for it is always of ASCII.
func wide(data []byte) binary.ByteOrder {
	switch {
	case len(data) < 2:
		return nil
	case data[0] == 0xff && data[1] == 0xfe, data[0] != 0 && data[1] == 0:
		return binary.LittleEndian
	case data[0] == 0xfe && data[1] == 0xff, data[0] == 0 && data[1] != 0:
		return binary.BigEndian
	}
	return nil
}

// fromUTF16 is a text as UTF-8. Where that is wrong it is what comes before.
func fromUTF16(data []byte, order binary.ByteOrder) (text []byte, wrong string) {
	text = make([]byte, 0, len(data))
	for ; len(data) > 1; data = data[2:] {
		r := rune(order.Uint16(data))
		if utf16.IsSurrogate(r) {
			if len(data) > 3 {
				r = utf16.DecodeRune(r, rune(order.Uint16(data[2:])))
			} else {
				r = utf8.RuneError
			}
			if r == utf8.RuneError {
				return text, "not UTF-16 text: half a letter; save the file as UTF-8"
			}
			data = data[2:]
		}
		text = utf8.AppendRune(text, r)
	}
	if len(data) > 0 {
		return text, "not UTF-16 text: it ends within a letter; save the file as UTF-8"
	}
	return text, ""
}
