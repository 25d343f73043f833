package manifest

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	// maxAliases, maxDepth and maxValues bound what one document may make of few bytes: a "billion laughs" ends here.
	maxAliases, maxDepth, maxValues = 1000, 64, 1_000_000
)

// decoder fills Go values from the nodes of one document and gathers what does not fit.
type decoder struct {
	file    string
	line    int // added to the nodes' lines: where the document's text begins in the file, less one
	lenient bool
	found   *Diagnostics

	aliases, depth, values int
	exhausted              bool
}

// special types read themselves.
type special interface {
	decode(d *decoder, n *yaml.Node, path string) bool
}

func (d *decoder) at(n *yaml.Node) Position { return Position{d.file, n.Line + d.line, n.Column} }

func (d *decoder) errorf(n *yaml.Node, path, format string, args ...any) {
	d.found.Errorf(d.at(n), "%s", prefixed(path, fmt.Sprintf(format, args...)))
}

func (d *decoder) notef(n *yaml.Node, path, format string, args ...any) {
	d.found.Notef(d.at(n), "%s", prefixed(path, fmt.Sprintf(format, args...)))
}

// prefixed says which field a message is about; none is the document itself.
func prefixed(path, message string) string {
	if path == "" {
		return message
	}
	return path + ": " + message
}

// join is the path of a field of what path names.
func join(path, field string) string { return strings.TrimPrefix(path+"."+field, ".") }

// spend counts one value and reports whether the document is still within its limits.
func (d *decoder) spend(n *yaml.Node) bool {
	d.values++
	switch {
	case d.exhausted:
	case d.values > maxValues:
		d.errorf(n, "", "more than %d values in one document, aliases followed", maxValues)
	case d.aliases > maxAliases:
		d.errorf(n, "", "more than %d aliases in one document", maxAliases)
	case d.depth > maxDepth:
		d.errorf(n, "", "deeper than %d levels", maxDepth)
	default:
		return true
	}
	d.exhausted = true
	return false
}

// follow resolves an alias.
func (d *decoder) follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		d.aliases++
		n = n.Alias
	}
	return n
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// decode fills v, which must be settable. path is the field's name for messages. It reports whether v could be filled.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string) bool {
	n = d.follow(n)
	d.depth++
	defer func() { d.depth-- }()
	if !d.spend(n) {
		return false
	}
	if s, ok := v.Addr().Interface().(special); ok {
		return s.decode(d, n, path)
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
		d.errorf(n, path, "want a string, not %s%s", describe(n), quoteHint(n))
		return "", false
	}
	return n.Value, true
}

// quoteHint helps those whose YAML means something else than it looks like.
func quoteHint(n *yaml.Node) string {
	switch n.Tag {
	case "!!int", "!!float", "!!bool", "!!timestamp":
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
		d.errorf(n, path, "want true or false, not %s", describe(n))
	case reflect.Int:
		if n.Kind == yaml.ScalarNode && n.Tag == "!!int" {
			if i, err := strconv.ParseInt(n.Value, 10, 32); err == nil {
				v.SetInt(i)
				return true
			}
		}
		d.errorf(n, path, "want a whole number, not %s", describe(n))
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
		d.errorf(n, path, "want a list, not %s", describe(n))
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
		ok := d.decode(value, item, join(path, key.Value))
		out.SetMapIndex(reflect.ValueOf(key.Value), item)
		return ok
	})
	v.Set(out)
	return ok
}

// pairs calls do for each key of a mapping, its merges ("<<") included; a key that is there twice is an error at the second.
func (d *decoder) pairs(n *yaml.Node, path string, do func(key, value *yaml.Node) bool) bool {
	if n.Kind != yaml.MappingNode {
		d.errorf(n, path, "want a mapping, not %s", describe(n))
		return false
	}
	seen := map[string]int{}
	ok := true
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := d.follow(n.Content[i]), n.Content[i+1]
		switch {
		case key.Tag == "!!merge":
			merges = append(merges, value)
			continue
		case key.Kind != yaml.ScalarNode:
			d.errorf(key, path, "a key must be a word, not %s", describe(key))
			ok = false
			continue
		}
		if line, twice := seen[key.Value]; twice {
			d.errorf(key, path, "%q is there twice; first in line %d", key.Value, line)
			ok = false
			continue
		}
		seen[key.Value] = key.Line + d.line
		ok = do(key, value) && ok
	}
	for _, m := range merges {
		ok = d.merge(m, path, seen, do) && ok
	}
	return ok
}

// merge brings the keys of merged mappings that the mapping itself does not have.
func (d *decoder) merge(n *yaml.Node, path string, seen map[string]int, do func(key, value *yaml.Node) bool) bool {
	n = d.follow(n)
	d.depth++
	defer func() { d.depth-- }()
	if !d.spend(n) {
		return false
	}
	if n.Kind == yaml.SequenceNode {
		ok := true
		for _, c := range n.Content {
			ok = d.merge(c, path, seen, do) && ok
		}
		return ok
	}
	return d.pairs(n, path, func(key, value *yaml.Node) bool {
		if _, own := seen[key.Value]; own {
			return true
		}
		seen[key.Value] = key.Line + d.line
		return do(key, value)
	})
}

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
		return fmt.Sprintf("the string %.40q", n.Value)
	default:
		return fmt.Sprintf("%s %.40q", n.Tag, n.Value)
	}
}
