package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"
)

// otherSpace is a space before a key or an item of a list, or between a key and its value, that looks
// like YAML's blank and is a letter to it. Editors and web pages write them.
var otherSpace = regexp.MustCompile(
	`(?m)^[\p{Zs}\x{200B}]*?([^\P{Zs} ]|\x{200B})[\p{Zs}\x{200B}]*(?:- |["']?[\w./-]+["']?:)` +
		`|^ *(?:- *)?["']?[\w./-]+["']?:([^\P{Zs} ]|\x{200B})`)

// maxSpaces bounds how many lines with such spaces are told.
const maxSpaces = 3

// nameSpaces tells of spaces that are none, in a file in which something else is wrong: then they are why,
// most likely. In a text of several lines they may stand.
func nameSpaces(f File, before int, found *Diagnostics) {
	isError := func(d Diagnostic) bool { return d.Severity == Error }
	if !slices.ContainsFunc((*found)[before:], isError) {
		return
	}
	for _, at := range otherSpace.FindAllSubmatchIndex(f.Data, maxSpaces) {
		i := max(at[2], at[4])
		r, _ := utf8.DecodeRune(f.Data[i:])
		p := begin.after(f.Data[:i])
		found.Errorf(Position{f.Name, p.line, p.column}, "%s is no blank, though it looks like one, and YAML takes it for a "+
			"letter; write blanks in its place", spaceName(r))
	}
}

func spaceName(r rune) string {
	name := "the space"
	switch r {
	case '\u00a0', '\u202f':
		name = "the no-break space"
	case '\u200b':
		name = "the space without width"
	}
	return fmt.Sprintf("%s U+%04X", name, r)
}
