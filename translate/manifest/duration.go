package manifest

import (
	"fmt"
	"reflect"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// Duration is a time with its place.
type Duration struct {
	Value time.Duration
	At    Position
}

// ParseDuration reads whole seconds, written as a number (90) or with units (90s, 5m, 1h30m).
func ParseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if n, e := strconv.ParseInt(s, 10, 32); e == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d%time.Second != 0 {
		return 0, fmt.Errorf("%q is not a time in whole seconds; write 90s, 5m, 1h30m or the like", s)
	}
	return d, nil
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value, path string) bool {
	if n.Kind != yaml.ScalarNode || (n.Tag != "!!str" && n.Tag != "!!int") {
		d.errorf(n, "%s: want a time like 90s, 5m or 1h30m, not %s", path, describe(n))
		return false
	}
	t, err := ParseDuration(n.Value)
	if err != nil {
		d.errorf(n, "%s: %v", path, err)
		return false
	}
	v.Set(reflect.ValueOf(Duration{t, d.at(n)}))
	return true
}
