package manifest

import (
	"reflect"
	"strconv"

	"gopkg.in/yaml.v3"
)

// Quantity is an amount as it is written, a text or a number, with its place.
type Quantity struct {
	Value string
	At    Position
}

// quantity takes a number as Kubernetes does. What it amounts to, and whether that makes sense, is
// looked at where it is used.
func (d *decoder) quantity(n *yaml.Node, v reflect.Value, path string) bool {
	text := n.Value
	switch {
	case n.Kind != yaml.ScalarNode || (n.Tag != "!!str" && n.Tag != "!!int" && n.Tag != "!!float"):
		d.errorf(n, "%s: want a quantity like 2, 500m or 2Gi, not %s", path, describe(n))
		return false
	case n.Tag == "!!int": // 017 and 0x10 are 15 and 16, 1_000 is a thousand
		if i, err := strconv.ParseInt(n.Value, 0, 64); err == nil {
			text = strconv.FormatInt(i, 10)
		}
	}
	v.Set(reflect.ValueOf(Quantity{text, d.at(n)}))
	return true
}
