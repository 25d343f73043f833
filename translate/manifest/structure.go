package manifest

import (
	"reflect"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// At is the place of a mapping that was read. Embedded in a struct it also knows the places of the struct's fields.
type At struct {
	Position
	fields map[string]place
}

// place is where a field's name and value stand.
type place struct{ key, value Position }

// Field is the place of a field's value, or of the mapping where the field is not there.
func (a At) Field(name string) Position {
	if p, ok := a.fields[name]; ok {
		return p.value
	}
	return a.Position
}

// Key is the place of a field's name, or of the mapping where the field is not there.
func (a At) Key(name string) Position {
	if p, ok := a.fields[name]; ok {
		return p.key
	}
	return a.Position
}

// Has reports whether the field is there, with a value of any type or none.
func (a At) Has(name string) bool { _, ok := a.fields[name]; return ok }

var atType = reflect.TypeFor[At]()

// field is what the tags of a struct's field say.
type field struct {
	index             int
	required          bool
	noEffect, refused string
}

// shape is how a struct is read.
type shape struct {
	at     int // index of At, -1 for none
	open   bool
	fields map[string]field
	names  []string // in the order of the Go type
}

var shapes sync.Map // reflect.Type to *shape

func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := &shape{at: -1, fields: map[string]field{}}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == atType {
			s.at, s.open = i, f.Tag.Get("open") == "true"
			continue
		}
		name := f.Tag.Get("yaml")
		if name == "" || name == "-" {
			continue
		}
		s.names = append(s.names, name)
		s.fields[name] = field{i, f.Tag.Get("required") == "true", f.Tag.Get("noeffect"), f.Tag.Get("refused")}
	}
	shapes.Store(t, s)
	return s
}

// structure fills a struct. Nothing at all (a key without a value) is an empty mapping.
func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) bool {
	s := shapeOf(v.Type())
	a := At{d.at(n), map[string]place{}}
	ok := true
	if !null(n) {
		ok = d.pairs(n, path, func(key, value *yaml.Node) bool {
			a.fields[key.Value] = place{d.at(key), d.at(value)}
			f, known := s.fields[key.Value]
			switch {
			case !known:
				return d.unknown(key, path, s)
			case f.refused != "":
				d.errorf(key, join(path, key.Value), "%s", f.refused)
				return false
			case f.noEffect != "":
				d.notef(key, join(path, key.Value), "%s", f.noEffect)
			}
			return d.decode(value, v.Field(f.index), join(path, key.Value))
		})
	}
	for _, name := range s.names {
		if s.fields[name].required && !a.Has(name) && n.Kind != yaml.SequenceNode && (n.Kind != yaml.ScalarNode || null(n)) {
			d.errorf(n, join(path, name), "missing")
			ok = false
		}
	}
	if s.at >= 0 {
		v.Field(s.at).Set(reflect.ValueOf(a))
	}
	return ok
}

func (d *decoder) unknown(key *yaml.Node, path string, s *shape) bool {
	switch {
	case s.open:
		d.notef(key, join(path, key.Value), "has no effect here: unip does not know this field")
		return true
	case d.lenient:
		d.found.add(d.at(key), Warning, "%s", []any{prefixed(path, "unknown field "+quote(key.Value)+"; it has no effect"+Suggest(key.Value, s.names))})
		return true
	default:
		d.errorf(key, path, "unknown field %s%s", quote(key.Value), Suggest(key.Value, s.names))
		return false
	}
}

// maxSuggest is how many letters may be wrong for a suggestion.
const maxSuggest = 3

// Suggest is a question for the nearest of the known words (`; did you mean "x"?`), or nothing when none is near.
func Suggest(word string, known []string) string {
	best, bestDistance := "", min(maxSuggest, len([]rune(word))/2)+1
	for _, k := range known {
		if x := distance(strings.ToLower(word), strings.ToLower(k)); x < bestDistance || (x == bestDistance && best != "" && k < best) {
			best, bestDistance = k, x
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + quote(best) + "?"
}

// distance is the number of letters to insert, delete or change (Levenshtein). Words are cut at 64 letters.
func distance(s, t string) int {
	a, b := []rune(s), []rune(t)
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
