package manifest

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
	"k8s.io/apimachinery/pkg/api/resource"
)

func quote(s string) string { return strconv.Quote(s) }

// Text is a string with its place.
type Text struct {
	Value string
	At    Position
}

func (t *Text) decode(d *decoder, n *yaml.Node, path string) (ok bool) {
	t.At = d.at(n)
	t.Value, ok = d.text(n, path)
	return ok
}

// Hidden is a string that is printed nowhere: neither by fmt nor in a finding.
type Hidden struct {
	value string
	At    Position
}

// Reveal is the string itself.
func (h Hidden) Reveal() string { return h.value }

// String hides the value.
func (h Hidden) String() string { return "***" }

// GoString hides the value.
func (h Hidden) GoString() string { return "***" }

func (h *Hidden) decode(d *decoder, n *yaml.Node, path string) bool {
	h.At = d.at(n)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		kind := "something else"
		switch {
		case n.Kind != yaml.ScalarNode:
			kind = describe(n)
		case null(n):
			kind = "nothing"
		case n.Tag != "":
			kind = "what YAML reads as " + strings.TrimPrefix(n.Tag, "!!")
		}
		d.errorf(n, path, "want a string, not %s: put it in quotes", kind)
		return false
	}
	h.value = n.Value
	return true
}

// HiddenBytes is a base64 string that is printed nowhere.
type HiddenBytes struct{ Hidden }

func (h *HiddenBytes) decode(d *decoder, n *yaml.Node, path string) bool {
	if !h.Hidden.decode(d, n, path) {
		return false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(h.value), ""))
	if err != nil {
		d.errorf(n, path, "is not base64; a plain value goes into stringData")
		return false
	}
	h.value = string(raw)
	return true
}

// Quantity is an amount of a resource, as Kubernetes writes it: 2, 500m, 4Gi.
type Quantity struct {
	resource.Quantity
	At Position
}

func (q *Quantity) decode(d *decoder, n *yaml.Node, path string) bool {
	q.At = d.at(n)
	if n.Kind != yaml.ScalarNode || (n.Tag != "!!str" && n.Tag != "!!int" && n.Tag != "!!float") {
		d.errorf(n, path, "want a quantity such as 500m, 2 or 4Gi, not %s", describe(n))
		return false
	}
	v, err := resource.ParseQuantity(n.Value)
	if err != nil {
		d.errorf(n, path, "want a quantity such as 500m, 2 or 4Gi, not %.40q", n.Value)
		return false
	}
	if v.Sign() < 0 {
		d.errorf(n, path, "%s is less than nothing", n.Value)
		return false
	}
	q.Quantity = v
	return true
}

// Function is a Python function: package.module:function, or package.module.function.
type Function struct {
	Module, Name string
	At           Position
}

// String is the form with the colon.
func (f Function) String() string { return f.Module + ":" + f.Name }

var dotted = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}\p{M}_]*(\.[\p{L}_][\p{L}\p{N}\p{M}_]*)*$`)

func (f *Function) decode(d *decoder, n *yaml.Node, path string) bool {
	f.At = d.at(n)
	s, ok := d.text(n, path)
	if !ok {
		return false
	}
	module, name, colon := strings.Cut(s, ":")
	if !colon {
		if i := strings.LastIndexByte(s, '.'); i >= 0 {
			module, name = s[:i], s[i+1:]
		}
	}
	if !dotted.MatchString(module) || !dotted.MatchString(name) || strings.Contains(name, ".") {
		d.errorf(n, path, "want package.module:function, not %.80q", s)
		return false
	}
	f.Module, f.Name = module, name
	return true
}

// Raw is what is not read further.
type Raw struct {
	Node *yaml.Node
	At   Position
}

func (r *Raw) decode(d *decoder, n *yaml.Node, _ string) bool {
	r.Node, r.At = n, d.at(n)
	return true
}

// Empty is a section without fields of its own: {} or nothing.
type Empty struct{ At }

func (p Position) is(other Position) bool { return p == other }

var _ fmt.Stringer = Hidden{}
