package plan

import (
	"errors"
	"fmt"
	"path"
	"strings"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/record"
)

// DefaultPlace is the folder for what a run names no place for, and for its run.json. It is in the
// default box of the run's pipeline.
func DefaultPlace(run *runtimev1.PipelineRun, defaultBox string) string {
	box := defaultBox
	if run.Spec.User == "" {
		box += ":"
	}
	return box + "/" + run.Spec.Pipeline + "/" + run.Name + "/"
}

// RecordPlace is where a run's record lies.
func RecordPlace(run *runtimev1.PipelineRun, defaultBox string) (databox.Place, error) {
	return databox.ParsePlace(DefaultPlace(run, defaultBox) + record.FileName)
}

// input is where a variable that a stage reads comes from, and where it lies in the container. Its
// place is that of its files; the zero Place is none.
func (r *resolver) input(stage int, name string) (in runtimev1.ResolvedInput, at databox.Place, err error) {
	in.Name = name
	if in.Path, err = r.folder(stage, name); err != nil {
		return in, at, err
	}
	if written, writer := r.writer(name); written {
		in.Stage = writer
		if at, _, err = r.target(name); err != nil { // which is told of the stage that writes it
			return in, databox.Place{}, nil //nolint:nilerr // see above
		}
		return in, at, nil
	}
	p, err := r.source(name)
	if err != nil {
		return in, at, err
	}
	in.ETag = r.run.Spec.Inputs[name].ETag
	box, err := r.find(p.Box)
	if err != nil {
		return in, at, err
	}
	in.Bucket = box.Bucket
	p.Developer = p.Developer || box.Dataset
	key := box.Prefix + p.Key(r.run.Spec.User)
	if err := outsideUsers(databox.Place{Box: p.Box, Developer: p.Developer, Path: key}); err != nil {
		return in, at, err
	}
	switch {
	case p.Path == "" && !box.Dataset: // users' files are in it
		return in, at, errors.New("a whole box cannot be an input: name a folder in it")
	case key == "":
		in.Whole = true
	case !p.Folder():
		in.Key, in.Path = key, path.Join(in.Path, path.Base(key))
	default:
		in.Prefix = key
	}
	return in, p, nil
}

// source is the place of a variable that no stage writes: the one that the run names, else its
// mountFrom.
func (r *resolver) source(name string) (databox.Place, error) {
	if given, ok := r.run.Spec.Inputs[name]; ok {
		return r.namedPlace(given.Path)
	}
	v, _ := r.graph.Variable(name)
	if v.MountFrom == nil {
		return databox.Place{}, errors.New("it is needed, and the run names none; " +
			"name a file (<box>/<group>/<file>) or a folder (<box>/<group>/)")
	}
	p, err := databox.ParsePlace(v.MountFrom.Box + ":/" + strings.TrimPrefix(v.MountFrom.Path, "/"))
	if err == nil {
		err = outsideUsers(p)
	}
	if err != nil {
		return p, fmt.Errorf("mountFrom: %w", err)
	}
	return p, nil
}

// namedPlace parses a place that the run names, and checks that its caller may name it.
func (r *resolver) namedPlace(s string) (databox.Place, error) {
	p, err := databox.ParsePlace(s)
	switch {
	case err != nil:
		return p, err
	case p.Developer && r.run.Spec.Origin == runtimev1.OriginAPI:
		return p, fmt.Errorf("%q: a caller of the API cannot name the developer's area", s)
	case !p.Developer && r.run.Spec.User == "":
		return p, fmt.Errorf("%q is among a user's files, and the run has no user; the developer's area is %s:/%s",
			s, p.Box, p.Path)
	}
	return p, outsideUsers(p)
}

// outsideUsers reports an error for a place in the developer's area that is among users' files.
func outsideUsers(p databox.Place) error {
	if p.Developer && strings.HasPrefix(p.Path+"/", databox.UsersArea) {
		return fmt.Errorf("%s:/%s: users/ is not in the developer's area", p.Box, p.Path)
	}
	return nil
}

// output is where a variable that a stage writes goes, and the same place as people write it; ""
// for one that nobody keeps.
func (r *resolver) output(stage int, name string) (out runtimev1.ResolvedOutput, at databox.Place, place string,
	err error) {
	out.Name = name
	if out.Path, err = r.folder(stage, name); err != nil {
		return out, at, "", err
	}
	p, place, err := r.target(name)
	if err != nil || place == "" {
		return out, at, "", err
	}
	box, err := r.find(p.Box)
	if err == nil && box.Dataset {
		err = fmt.Errorf("box %s is another module's dataset: it can only be read", p.Box)
	}
	if err != nil {
		return out, at, "", err
	}
	out.Box, out.Bucket, out.Prefix = p.Box, box.Bucket, p.Key(r.run.Spec.User)
	out.Capacity = box.Capacity
	owner := r.run.Spec.User
	if p.Developer {
		owner = ""
	}
	// Whoever named the place, and however: it is in the area that it was said to be in.
	if user, _, ok := databox.SplitKey(out.Prefix); !ok || user != owner {
		return out, at, "", fmt.Errorf("%s is not a folder that the run may write", place)
	}
	return out, p, place, nil
}

// target is the folder of a variable that a stage writes: the one that the run names, else the one
// that its pipeline does, else one in the default box. What another stage reads, and neither the run nor
// an API of its pipeline names, is kept nowhere, like all without a default box.
func (r *resolver) target(name string) (p databox.Place, place string, err error) {
	place, named := r.run.Spec.Outputs[name]
	own := r.ownTarget(name)
	box := r.chain[0].Spec.DefaultBox
	switch {
	case named:
		p, err = r.namedPlace(place)
	case own != nil:
		if p, err = r.placeOf(*own); err != nil {
			return p, "", fmt.Errorf("mountFrom: %w", err)
		}
		place = p.String()
	case box == "", r.graph.Internal(name, r.chain[0].Spec.Kept):
		return p, "", nil
	default:
		place = DefaultPlace(r.run, box) + name + "/"
		p, err = databox.ParsePlace(place)
	}
	switch {
	case err != nil:
	case !p.Folder():
		err = fmt.Errorf("%q is not a folder: end it in /", place)
	case p.Path == "":
		err = fmt.Errorf("%q is a whole box: name a folder in it", place)
	}
	return p, place, err
}

// ownTarget is the mountFrom of a written variable, as the pipeline says whose stage writes it. A
// later pipeline of the chain may say where the same variable comes from when it runs alone.
func (r *resolver) ownTarget(name string) *runtimev1.BoxPath {
	writer, written := r.graph.Writer(name)
	if !written {
		return nil
	}
	v, _ := r.graph.Declared(writer, name)
	return v.MountFrom
}

// placeOf is the place of an output's mountFrom.
func (r *resolver) placeOf(m runtimev1.BoxPath) (databox.Place, error) {
	p, err := pipeline.OutputPlace(m)
	if err == nil && !p.Developer && r.run.Spec.User == "" {
		err = fmt.Errorf("%q is among the files of the run's user, and the run has none; name another place", m.Path)
	}
	return p, err
}
