package manifest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// pairs calls do for each key of a mapping, its merges ("<<") included; a key that is there twice
// is an error at the second.
func (d *decoder) pairs(n *yaml.Node, path string, do func(key, value *yaml.Node) bool) bool {
	if n.Kind != yaml.MappingNode {
		d.errorf(n, "%swant a mapping, not %s", prefixed(path), describe(n))
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
			d.errorf(key, "%sa key must be a word, not %s", prefixed(path), describe(key))
			ok = false
			continue
		}
		if line, twice := seen[key.Value]; twice {
			d.errorf(key, "%s%q is there twice; first in line %d", prefixed(path), key.Value, line)
			ok = false
			continue
		}
		seen[key.Value] = key.Line
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
	if d.depth++; d.depth > maxDepth || d.aliases > maxAliases {
		d.depth--
		return false
	}
	defer func() { d.depth-- }()
	if d.merged += len(n.Content); d.merged > maxMerged {
		if d.merged-len(n.Content) <= maxMerged {
			d.errorf(n, "more than %d keys are merged in one document", maxMerged)
		}
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
		seen[key.Value] = key.Line
		return do(key, value)
	})
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) bool {
	a := At{Position: d.at(n)}
	s := structOf(v.Type())
	ok := true
	if !null(n) || path == "" {
		a.marks = make([]mark, 0, min(len(n.Content)/2, len(s.fields)))
		ok = d.pairs(n, path, func(key, value *yaml.Node) bool {
			f, known := s.fields[key.Value]
			if !known && s.rest >= 0 {
				rest := v.Field(s.rest).Addr().Interface().(*Rest)
				if *rest == nil {
					*rest = Rest{}
				}
				(*rest)[key.Value] = value
				d.found.Notef(d.at(key), "%sunip does not know the field %q: it is kept and has no effect%s", prefixed(path),
					key.Value, suggest(key.Value, s.fields))
				return true
			}
			if !known && path == "" && strings.HasPrefix(key.Value, "x-") {
				return true // a place for anchors, as of other tools that read YAML
			}
			if !known {
				d.errorf(key, "%sunknown field %q%s", prefixed(path), key.Value, suggest(key.Value, s.fields))
				(*d.found)[len(*d.found)-1].unknownField = true
				return true // what else is there can be used
			}
			a.marks = append(a.marks, mark{f.name, spotOf(key), spotOf(value)})
			inner := f.name
			if path != "" {
				inner = path + "." + f.name
			}
			return d.decode(value, v.Field(f.index), inner)
		})
	}
	if s.at >= 0 {
		*v.Field(s.at).Addr().Interface().(*At) = a
	}
	return ok
}

func prefixed(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// structure is what the decoder knows of a struct: its fields by their names in YAML, and where the
// embedded At and the Rest are; -1: nowhere.
type structure struct {
	fields   map[string]structField
	at, rest int
}

type structField struct {
	name  string
	index int
}

var structures sync.Map // of *structure by reflect.Type

func structOf(t reflect.Type) *structure {
	if s, ok := structures.Load(t); ok {
		return s.(*structure)
	}
	s := &structure{fields: map[string]structField{}, at: -1, rest: -1}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == atType {
			s.at = i
			continue
		}
		if f.Type == restType {
			s.rest = i
		}
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" {
			s.fields[name] = structField{name, i}
		}
	}
	structures.Store(t, s)
	return s
}

// maxSuggest is how many letters may be wrong for a suggestion.
const maxSuggest = 3

// suggest names the nearest known field.
func suggest[T any](word string, fields map[string]T) string {
	best, bestDistance := "", min(maxSuggest, len(word)/2)+1
	names := make([]string, 0, len(fields))
	for f := range fields {
		names = append(names, f)
	}
	slices.Sort(names)
	for _, f := range names {
		if dist := distance(strings.ToLower(word), strings.ToLower(f)); f != "" && dist < bestDistance {
			best, bestDistance = f, dist
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is the number of letters to insert, delete or change (Levenshtein). Words are cut:
// nobody mistypes a hundred letters.
func distance(a, b string) int {
	a, b = a[:min(len(a), 100)], b[:min(len(b), 100)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
