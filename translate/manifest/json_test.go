package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// asJSON is a file of YAML documents as JSON values; ok is false for one that JSON cannot say.
func asJSON(data []byte, indent string) (text []byte, ok bool) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", indent)
	e.SetEscapeHTML(false)
	for d := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var v map[string]any
		switch err := d.Decode(&v); {
		case errors.Is(err, io.EOF):
			return b.Bytes(), b.Len() > 0
		case err != nil || e.Encode(v) != nil:
			return nil, false
		}
	}
}

// What JSON says is what YAML says of the same text, places and findings included.
func TestJSONIsReadAsYAML(t *testing.T) {
	t.Parallel()
	read := func(how func(File, *Module, *Diagnostics, *tally), data []byte) (*Module, Diagnostics, tally) {
		var found Diagnostics
		var count tally
		m := &Module{Unread: map[string]bool{}}
		how(File{"f", data}, m, &found, &count)
		found.Sort()
		return m, found, count
	}
	tried := 0
	for _, in := range inputs(t) {
		for _, indent := range []string{"", "  "} {
			text, ok := asJSON(in, indent)
			if !ok || bytes.Contains(text, []byte(`\u`)) {
				continue
			}
			tried++
			lines := bytes.SplitAfter(text, []byte("\n"))
			for i, line := range lines { // YAML wants a mark between them
				if i > 0 && bytes.HasPrefix(line, []byte("{")) {
					lines[i] = append([]byte("---\n"), line...)
				}
			}
			text = bytes.Join(lines, nil)
			m, found, count := read(readFile, text)
			wantModule, want, wantCount := read(readWhole, text)
			if !reflect.DeepEqual(found, want) || count != wantCount || !reflect.DeepEqual(m, wantModule) {
				t.Errorf("as JSON: %+v %v %v\nas YAML: %+v %v %v\n%s", m, found, count, wantModule, want, wantCount, text)
			}
		}
	}
	if tried < 100 {
		t.Errorf("only %d files", tried)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"plain":                   {"a: ä", "a: ä"},
		"a mark":                  {"\ufeffa", "a"},
		"marks of several files":  {"\ufeffa\n---\n\ufeffb\n\ufeff---\nc\n...\r\n\ufeffd", "a\n---\nb\n---\nc\n...\r\nd"},
		"a mark within":           {"a: x\ufeffy\nb: \ufeff", "a: x\ufeffy\nb: \ufeff"},
		"UTF-16 of Windows":       {"\xff\xfea\x00\x42\x04", "aт"},
		"UTF-16 the other way":    {"\xfe\xff\x00a\x04\x42", "aт"},
		"UTF-16 without a mark":   {"a\x00:\x00 \x00\x3c\xd8\x3f\xdf", "a: 🌿"},
		"nothing":                 {"", ""},
		"one letter":              {"a", "a"},
		"the letter of no letter": {"a: \ufffd", "a: \ufffd"},
	} {
		if got, at, wrong := textOf([]byte(c.in)); wrong != "" || string(got) != c.want {
			t.Errorf("%s: %q, %v %s, want %q", name, got, at, wrong, c.want)
		}
	}
	for name, c := range map[string]struct {
		in, want     string
		line, column int
	}{
		"another encoding":       {"a: 1\nb: т\xff", "0xff", 2, 5},
		"cut off":                {"a: \xd1", "0xd1", 1, 4},
		"half a letter":          {"a\x00\n\x00b\x00\x3c\xd8c\x00", "half a letter", 2, 2},
		"half a letter, the end": {"a\x00\x3c\xd8", "half a letter", 1, 2},
		"an odd byte":            {"a\x00b", "ends within", 1, 2},
	} {
		_, at, wrong := textOf([]byte(c.in))
		if !strings.Contains(wrong, c.want) || at != (place{c.line, c.column}) || !strings.Contains(wrong, "UTF-8") {
			t.Errorf("%s: %v %q", name, at, wrong)
		}
	}
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		`unknown kind "DаtaBox"`: `"DаtaBox" 'а' is U+0430, Cyrillic`,
		`"сор" is no name`:       `'р' is U+0440, Cyrillic`,
		`"а" is no name`:         `U+0430`,
		`"bοx"`:                  `U+03BF, Greek`,
		`"leaf–box"`:             `U+2013, a dash and no hyphen`,
		`"spесф"`:                `U+0435, Cyrillic`,
		`"ящик"`:                 "",
		`"/данные/по годам/": не чистый`: "",
		`"café" – naïve`: "",
		`plain`:          "",
	} {
		if got := strangers(message); !strings.Contains(got, want) || (want == "" && got != "") {
			t.Errorf("%s: %q, want %q", message, got, want)
		}
	}
}

// Values may follow one another on one line, each at its own place.
func TestPlacesOfJSONOnOneLine(t *testing.T) {
	t.Parallel()
	values, err := jsonValues([]byte(`{"a":1}{"b":2} {"c":3}`))
	if err != nil {
		t.Fatal(err)
	}
	for i, column := range []int{1, 8, 16} {
		if got := values[i].Column; got != column {
			t.Errorf("value %d is at column %d, want %d", i, got, column)
		}
	}
}
