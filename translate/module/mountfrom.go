package module

import (
	"strings"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/folder"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/translate/manifest"
)

// source is the mountFrom of a variable: where a pipeline takes it from or, when a stage writes it,
// leaves it.
type source struct {
	*scope
	where string
	from  *manifest.MountFrom
}

// sourceOf is a mountFrom's place, under either of its names.
func sourceOf(m *manifest.MountFrom) (box, p manifest.Text) {
	box, p = m.Box, m.Path
	if !m.Has("box") {
		box = m.Name
	}
	if !m.Has("path") {
		p = m.S3Path
	}
	p.Value = strings.TrimPrefix(p.Value, "/")
	return box, p
}

func (s source) decide(written bool) *runtimev1.BoxPath {
	for _, pair := range [][2]string{{"box", "name"}, {"path", "s3Path"}} {
		if s.from.Has(pair[0]) && s.from.Has(pair[1]) {
			s.Errorf(s.from.Key(pair[1]), "%s: %s and %s are two names of one thing", s.where, pair[0], pair[1])
		}
	}
	box, p := sourceOf(s.from)
	out := &runtimev1.BoxPath{Box: box.Value, Path: p.Value}
	at := p.At
	if at.File == "" {
		at = s.from.Position
	}
	if box.Value == "" {
		s.Errorf(s.from.Position, "%s.box is missing", s.where)
		return out
	}
	if s.lacksBox(s.where+".box", box) {
		return out
	}
	x := s.boxes[box.Value]
	if dataset := x != nil && isDataset(x); written {
		s.target(out, box.At, at, dataset)
	} else {
		s.origin(out, at, dataset)
	}
	return out
}

// origin checks where an input comes from.
func (s source) origin(from *runtimev1.BoxPath, at manifest.Position, dataset bool) {
	switch err := databox.CheckDeveloperPath(from.Path); {
	case from.Path == "" && dataset:
	case from.Path == "" && at == s.from.Position:
		s.Errorf(at, "%s.path is missing", s.where)
	case from.Path == "":
		s.Errorf(at, "%s.path: a whole box cannot be an input: name a file or a folder in it", s.where)
	case err != nil:
		s.Errorf(at, "%s.path: %q: %v", s.where, from.Path, err)
	default:
		if err := databox.CheckLiteral(from.Path); err != nil {
			s.Errorf(at, "%s.path: %v", s.where, err)
		}
	}
}

// target checks where an output goes.
func (s source) target(to *runtimev1.BoxPath, box, at manifest.Position, dataset bool) {
	if dataset {
		s.Errorf(box, "%s.box: %s is a reference to a dataset, which can only be read: a stage writes this variable",
			s.where, to.Box)
		return
	}
	if _, err := pipeline.OutputPlace(*to); err != nil {
		s.Errorf(at, "%s.path: %v", s.where, err)
	}
}

// decideMounts says where in containers what is in boxes lies.
func decideMounts(s *scope, spec *manifest.ExperimentPipelineSpec) []runtimev1.Mount {
	var all []runtimev1.Mount
	seen := map[runtimev1.Mount]manifest.Position{}
	for _, b := range spec.ConnectedBoxes {
		checkConnected(s, b)
		m := runtimev1.Mount{Box: b.Name.Value}
		switch {
		case b.MountS3Box != nil:
			m.Path, m.MountPath = strings.Trim(b.MountS3Box.S3Path.Value, "/"), b.MountS3Box.MountPath.Value
			if err := checkFolder(m.Path); err != nil {
				s.Errorf(b.MountS3Box.S3Path.At, "spec.connectedBoxes: s3Path %q: %v", b.MountS3Box.S3Path.Value, err)
			}
		case b.MountDataset != nil:
			m.MountPath = b.MountDataset.MountPath.Value
		}
		key := runtimev1.Mount{Box: m.Box, Path: m.Path}
		if before, twice := seen[key]; twice {
			s.Errorf(b.Position, "spec.connectedBoxes: %q of box %s is mapped already, at %s", m.Path, m.Box, before)
			continue
		}
		seen[key] = b.Position
		if folder.Check(m.MountPath) == nil { // else it is wrong
			all = append(all, m)
		}
	}
	return all
}

// datasetsFor are the datasets of connectedBoxes that variables without a source take: the one of the
// variable's name, else the only one. A variable has a source when a stage writes it, when it has a
// mountFrom, and when an upload or every call of an API gives it.
func datasetsFor(s *scope, x *manifest.ExperimentPipeline, g *pipeline.Graph) map[string]*runtimev1.BoxPath {
	var all []string
	for _, b := range x.Spec.ConnectedBoxes {
		if b.MountDataset != nil {
			all = append(all, b.Name.Value)
		}
	}
	given := alwaysGiven(s.read, x)
	out := map[string]*runtimev1.BoxPath{}
	for _, v := range x.Spec.Vars {
		name := v.Name.Value
		_, written := g.Writer(name)
		if written || v.MountFrom != nil || given[name] || len(g.Readers(name)) == 0 {
			continue
		}
		for _, box := range all {
			if box == name || len(all) == 1 {
				out[name] = &runtimev1.BoxPath{Box: box}
			}
		}
	}
	return out
}
