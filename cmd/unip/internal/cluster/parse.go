package cluster

import (
	"bytes"
	"errors"
	"io"

	"k8s.io/apimachinery/pkg/util/yaml"
)

// ParseYAML reads the objects of a stream of documents, in their order.
func ParseYAML(b []byte) ([]*Object, error) {
	var all []*Object
	for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(b), len(b)); ; {
		o := &Object{}
		err := d.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if len(o.Object) > 0 {
			all = append(all, o)
		}
	}
}
