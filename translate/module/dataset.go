package module

import (
	"encoding/json"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/manifest"
)

// Dataset is a DatasetComponent: a folder of a box that other modules may read.
type Dataset struct {
	manifest.Position
	Name   string
	Labels map[string]string
	Spec   platformv1.DatasetComponentSpec
	// SharedWith are globs of namespaces that may refer to it; nil: none.
	SharedWith *string
}

func decideDataset(s *scope, x *manifest.DatasetComponent) Dataset {
	out := Dataset{Position: x.Position, Name: x.Meta.Name.Value, Labels: labels(s, &x.Meta)}
	if globs, ok := manifest.DatasetSharedWith.Of(&x.Meta, s.Diagnostics); ok {
		out.SharedWith = &globs
	} else {
		s.Notef(x.Position, "DatasetComponent %s is shared with nobody: the annotation %s says with whom", out.Name,
			manifest.DatasetSharedWith.Name)
	}
	spec := &x.Spec
	out.Spec.Box, out.Spec.Path = spec.Box.Value, spec.Path.Value
	switch box := s.boxes[spec.Box.Value]; {
	case spec.Box.Value == "":
		s.Errorf(spec.Field("box"), "spec.box is missing: the storage box that the dataset is in")
	case s.lacksBox("spec.box", spec.Box):
	case box != nil && isDataset(box):
		s.Errorf(spec.Box.At, "spec.box: %s is a reference to a dataset itself: a dataset is in a box of its module",
			spec.Box.Value)
	}
	if _, err := databox.DatasetPrefix(spec.Path.Value); err != nil {
		s.Errorf(spec.Path.At, "spec.path: %q: %v", spec.Path.Value, err)
	}
	for _, name := range sortedKeys(spec.Rest) {
		var v any
		err := spec.Rest[name].Decode(&v)
		var text []byte
		if err == nil {
			text, err = json.Marshal(v)
		}
		if err != nil {
			s.Errorf(spec.Position, "spec.%s cannot be kept: %v", name, err)
			continue
		}
		if out.Spec.Rest == nil {
			out.Spec.Rest = map[string]json.RawMessage{}
		}
		out.Spec.Rest[name] = text
	}
	return out
}
