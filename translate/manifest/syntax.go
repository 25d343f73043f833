package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	yaml4 "go.yaml.in/yaml/v4"
)

// maxSyntaxErrors bounds how often one file is taken up again behind an error: each time reads what
// is left of it.
const maxSyntaxErrors = 20

// documents calls do with each YAML document of a file until do says no. What is not YAML is told
// as wrong, with its line and column (0 where nobody knows), and reading goes on behind the next
// line that begins a document: one error does not hide those of later documents.
func documents(data []byte, do func(*yaml.Node) bool, wrong func(line, column int, message string)) {
	lines := 0 // that have been passed
	for range maxSyntaxErrors {
		// Empty lines stand for those that have been passed, so that every place is right.
		stream := func() io.Reader {
			return io.MultiReader(strings.NewReader(strings.Repeat("\n", lines)), bytes.NewReader(data))
		}
		d := yaml.NewDecoder(stream())
		for good := 0; ; good++ {
			var n yaml.Node
			err := d.Decode(&n)
			if errors.Is(err, io.EOF) || (err == nil && !do(&n)) {
				return
			}
			if err == nil {
				continue
			}
			line, column, message := syntaxError(err, stream(), good)
			wrong(line, column, message)
			if line <= lines {
				return // nobody knows where to go on
			}
			for passed := false; !passed || lines < line-1 || !begins(data); passed = true {
				_, rest, more := bytes.Cut(data, []byte("\n"))
				if !more {
					return
				}
				data, lines = rest, lines+1
			}
			break
		}
	}
}

// begins reports data that begins with the mark between documents.
func begins(data []byte) bool {
	rest, ok := bytes.CutPrefix(data, []byte("---"))
	return ok && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0])))
}

var yamlLine = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)

// syntaxError says where a stream stops being YAML, and why. yaml.v3 knows a line, often of
// something nearby; its successor knows the place, so it is asked about the document after the good
// ones.
func syntaxError(err error, stream io.Reader, good int) (line, column int, message string) {
	if p := yamlLine.FindStringSubmatch(err.Error()); p != nil {
		line, _ = strconv.Atoi(p[1]) // "" is 0: the file as a whole
		column, message = min(line, 1), p[2]
	} else {
		message = err.Error()
	}
	if l, e := yaml4.NewLoader(stream, yaml4.WithV3Defaults()); e == nil {
		for e == nil && good >= 0 {
			e = l.Load(&yaml4.Node{})
			good--
		}
		if at, ok := errors.AsType[*yaml4.LoadError](e); ok && good < 0 && at.Mark.Line > 0 {
			line, column, message = at.Mark.Line, at.Mark.Column, at.Message
			if c := at.ContextMark; at.ContextMsg != "" && c.Line > 0 && c.Line != line {
				message += fmt.Sprintf(", %s that begins in line %d", at.ContextMsg, c.Line)
			}
		}
	}
	return line, column, "not valid YAML: " + strings.ReplaceAll(message, "\n", " ")
}
