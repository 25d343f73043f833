package predict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Place is where a JSON pointer (RFC 6901) points in a document: LINE:COLUMN, both from 1, columns
// in characters. Of a value that is not there, it is the place of what should hold it. "" when the
// document is no JSON there.
func Place(document []byte, pointer string) string {
	l := locator{document: document, decoder: json.NewDecoder(bytes.NewReader(document))}
	var path []string
	if pointer != "" {
		path = strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	}
	at, ok := l.locate(path)
	if !ok {
		return ""
	}
	before := document[:at]
	return fmt.Sprintf("%d:%d", 1+bytes.Count(before, []byte("\n")),
		1+utf8.RuneCount(before[1+bytes.LastIndexByte(before, '\n'):]))
}

type locator struct {
	document []byte
	decoder  *json.Decoder
}

// locate reads the next value and gives the offset of what path leads to in it.
func (l *locator) locate(path []string) (int, bool) {
	at := int(l.decoder.InputOffset())
	for at < len(l.document) && strings.IndexByte(" \t\r\n,:", l.document[at]) >= 0 {
		at++
	}
	if len(path) == 0 {
		return at, at < len(l.document)
	}
	begin, err := l.decoder.Token()
	if err != nil {
		return 0, false
	}
	delim, ok := begin.(json.Delim)
	if !ok {
		return at, true
	}
	want := strings.NewReplacer("~1", "/", "~0", "~").Replace(path[0])
	for i := 0; l.decoder.More(); i++ {
		name := strconv.Itoa(i)
		if delim == '{' {
			key, err := l.decoder.Token()
			if err != nil {
				return 0, false
			}
			name, _ = key.(string)
		}
		if name == want {
			return l.locate(path[1:])
		}
		var skipped json.RawMessage
		if l.decoder.Decode(&skipped) != nil {
			return 0, false
		}
	}
	return at, true
}
