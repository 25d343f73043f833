package manifest

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// At is the place of a value that was read. Embed it in a struct to have its place; Field gives
// those of the fields.
type At struct {
	Position
	marks []mark
}

// mark is where one field is, in the file of the struct. There are few in a struct, so a list takes
// less room than maps and is searched as fast.
type mark struct {
	field      string
	key, value spot
}

type spot struct{ line, column int }

func spotOf(n *yaml.Node) spot { return spot{n.Line, n.Column} }

func (a At) mark(field string) *mark {
	for i := range a.marks {
		if a.marks[i].field == field {
			return &a.marks[i]
		}
	}
	return nil
}

func (a At) in(s spot) Position { return Position{a.File, s.line, s.column} }

// Field is the place of a field's value, or of the struct where the field is not there.
func (a At) Field(name string) Position {
	if m := a.mark(name); m != nil {
		return a.in(m.value)
	}
	return a.Position
}

// Has reports whether the field is there.
func (a At) Has(name string) bool { return a.mark(name) != nil }

// Key is the place of a field's name.
func (a At) Key(name string) Position {
	if m := a.mark(name); m != nil {
		return a.in(m.key)
	}
	return a.Position
}

// Text is a string with its place.
type Text struct {
	Value string
	At    Position
}

var (
	atType       = reflect.TypeFor[At]()
	textType     = reflect.TypeFor[Text]()
	restType     = reflect.TypeFor[Rest]()
	nodeType     = reflect.TypeFor[*yaml.Node]()
	durationType = reflect.TypeFor[Duration]()
	quantityType = reflect.TypeFor[Quantity]()
	continueType = reflect.TypeFor[ContinueWith]()
)

// decoder fills Go values from nodes and gathers what does not fit.
type decoder struct {
	file    string
	found   *Diagnostics
	aliases int // how many have been followed
	merged  int // how many keys have come by merges
	depth   int
}

// maxAliases and maxDepth bound what one document may make of few bytes: a "billion laughs" ends
// here.
const maxAliases, maxMerged, maxDepth = 1000, 100_000, 64

func (d *decoder) at(n *yaml.Node) Position { return Position{d.file, n.Line, n.Column} }

func (d *decoder) errorf(n *yaml.Node, format string, args ...any) {
	d.found.Errorf(d.at(n), format, args...)
}

// follow resolves an alias.
func (d *decoder) follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		if d.aliases++; d.aliases > maxAliases {
			if d.aliases == maxAliases+1 {
				d.errorf(n, "more than %d aliases in one document", maxAliases)
			}
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line, Column: n.Column}
		}
		n = n.Alias
	}
	return n
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// decode fills v, which must be settable. path is the field's name for messages. It reports whether
// v could be filled.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string) bool {
	n = d.follow(n)
	if d.depth++; d.depth > maxDepth {
		d.depth--
		d.errorf(n, "%s: deeper than %d levels", path, maxDepth)
		return false
	}
	defer func() { d.depth-- }()
	if (n.Kind == yaml.MappingNode && n.Tag != "!!map") || (n.Kind == yaml.SequenceNode && n.Tag != "!!seq") {
		d.errorf(n, "%s: the tag %.40q means nothing here", path, n.Tag)
		return false
	}
	switch v.Type() {
	case nodeType:
		v.Set(reflect.ValueOf(n))
		return true
	case textType:
		s, ok := d.text(n, path)
		v.Set(reflect.ValueOf(Text{s, d.at(n)}))
		return ok
	case durationType:
		return d.duration(n, v, path)
	case quantityType:
		return d.quantity(n, v, path)
	case continueType:
		if n.Kind == yaml.ScalarNode && n.Tag == "!!str" { // the bare name
			at := At{Position: d.at(n)}
			v.Set(reflect.ValueOf(ContinueWith{at, &Ref{at, Text{n.Value, d.at(n)}}}))
			return true
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if null(n) {
			return true
		}
		v.Set(reflect.New(v.Type().Elem()))
		return d.decode(n, v.Elem(), path)
	case reflect.Struct:
		return d.structure(n, v, path)
	case reflect.Slice:
		return d.list(n, v, path)
	case reflect.Map:
		return d.dictionary(n, v, path)
	default:
		return d.scalar(n, v, path)
	}
}

func (d *decoder) text(n *yaml.Node, path string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		d.errorf(n, "%s: want a string, not %s%s", path, describe(n), quoteHint(n))
		return "", false
	}
	return n.Value, true
}

// quoteHint helps those whose YAML means something else than it looks like.
func quoteHint(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		return fmt.Sprintf("; write %q", n.Value)
	}
	return ""
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) bool {
	switch v.Kind() {
	case reflect.String:
		s, ok := d.text(n, path)
		v.SetString(s)
		return ok
	case reflect.Bool:
		if n.Kind == yaml.ScalarNode && n.Tag == "!!bool" {
			v.SetBool(strings.EqualFold(n.Value, "true"))
			return true
		}
		d.errorf(n, "%s: want true or false, not %s", path, describe(n))
	case reflect.Int:
		if n.Kind == yaml.ScalarNode && n.Tag == "!!int" {
			if i, err := strconv.ParseInt(n.Value, 0, 32); err == nil {
				v.SetInt(i)
				return true
			}
		}
		d.errorf(n, "%s: want a whole number, not %s", path, describe(n))
	default:
		panic("manifest: a field of type " + v.Type().String())
	}
	return false
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) bool {
	if null(n) {
		return true
	}
	if n.Kind != yaml.SequenceNode {
		d.errorf(n, "%s: want a list, not %s", path, describe(n))
		return false
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	ok := true
	for i, c := range n.Content {
		ok = d.decode(c, out.Index(i), fmt.Sprintf("%s[%d]", path, i)) && ok
	}
	v.Set(out)
	return ok
}

func (d *decoder) dictionary(n *yaml.Node, v reflect.Value, path string) bool {
	if null(n) {
		return true
	}
	out := reflect.MakeMap(v.Type())
	ok := d.pairs(n, path, func(key, value *yaml.Node) bool {
		item := reflect.New(v.Type().Elem()).Elem()
		ok := d.decode(value, item, path+"."+key.Value)
		out.SetMapIndex(reflect.ValueOf(key.Value), item)
		return ok
	})
	v.Set(out)
	return ok
}

// describe says what a node is, in words; long values are cut.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "the boolean " + n.Value
	case "!!int", "!!float":
		return fmt.Sprintf("the number %.40s", n.Value)
	case "!!str":
		return fmt.Sprintf("%.40q", n.Value)
	default:
		return fmt.Sprintf("%s %.40q", n.Tag, n.Value)
	}
}
