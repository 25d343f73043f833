package runs

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
)

// dataDir is where variables lie in a container unless the pipeline says otherwise.
const dataDir = "/unip/data"

// maxStages bounds a chain.
const maxStages = 64

// plan is what a run shall do, before anything has been looked at in S3.
type plan struct {
	stages  []runtimev1.StageStatus
	outputs map[string]string // places by variable, for people
}

// locate finds the bucket of a box; dataset is true for a reference to another module's box, which is only read, and of which no part belongs to a user.
type locate func(box string) (bucket string, dataset bool, err error)

// writer is a variable's stage.
type writer map[string]string

// resolve joins the chain's pipelines into the stages of one run, finds out what needs what, and where each variable comes from and goes to. where finds boxes.
// Its errors are the caller's or the pipeline's mistakes: trying again does not help.
func resolve(run *runtimev1.PipelineRun, chain []*runtimev1.Pipeline, where locate) (plan, error) {
	r := resolver{run: run, where: where, variables: map[string]runtimev1.Variable{}, writers: writer{}, read: map[string]bool{}}
	for _, p := range chain {
		for _, v := range p.Spec.Variables {
			if before, ok := r.variables[v.Name]; !ok || before.MountFrom == nil {
				r.variables[v.Name] = v
			}
		}
		for _, s := range p.Spec.Stages {
			name := s.Name
			if len(chain) > 1 {
				name = p.Name + "/" + s.Name
			}
			r.stages = append(r.stages, stageOf{name: name, pipeline: p, spec: s})
			for _, o := range s.Outputs {
				if other, twice := r.writers[o]; twice {
					return plan{}, fmt.Errorf("variable %s is written by two stages, %s and %s", o, other, name)
				}
				r.writers[o] = name
			}
			for _, i := range s.Inputs {
				r.read[i] = true
			}
		}
	}
	if len(r.stages) == 0 || len(r.stages) > maxStages {
		return plan{}, fmt.Errorf("%d stages: 1 to %d are possible", len(r.stages), maxStages)
	}
	if err := r.names(); err != nil {
		return plan{}, err
	}
	order, err := r.order()
	if err != nil {
		return plan{}, err
	}
	out := plan{outputs: map[string]string{}}
	for _, s := range order {
		st, err := r.stage(s, chain[0], out.outputs)
		if err != nil {
			return plan{}, err
		}
		out.stages = append(out.stages, st)
	}
	return out, nil
}

type stageOf struct {
	name     string
	pipeline *runtimev1.Pipeline
	spec     runtimev1.Stage
}

type resolver struct {
	run       *runtimev1.PipelineRun
	where     locate
	variables map[string]runtimev1.Variable
	writers   writer
	read      map[string]bool
	stages    []stageOf
}

// maxErrors bounds what a run is told to be wrong with it: it may name very many things that are not there.
const maxErrors = 8

// names checks what the run names.
func (r *resolver) names() error {
	var errs []error
	// known says what there is, the first time it is asked.
	known := func() string {
		if len(errs) > 0 {
			return ""
		}
		return "; there are " + r.known()
	}
	for _, name := range slices.Sorted(maps.Keys(r.run.Spec.Inputs)) {
		if len(errs) == maxErrors {
			break
		}
		if _, ok := r.variables[name]; !ok {
			errs = append(errs, fmt.Errorf("there is no variable %q to be an input%s", name, known()))
		} else if w := r.writers[name]; w != "" {
			errs = append(errs, fmt.Errorf("variable %s cannot be an input: stage %s writes it", name, w))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.run.Spec.Outputs)) {
		if len(errs) == maxErrors {
			break
		}
		if _, ok := r.variables[name]; !ok {
			errs = append(errs, fmt.Errorf("there is no variable %q to be an output%s", name, known()))
		} else if r.writers[name] == "" {
			errs = append(errs, fmt.Errorf("variable %s cannot be an output: no stage writes it", name))
		}
	}
	return errors.Join(errs...)
}

func (r *resolver) known() string {
	return strings.Join(slices.Sorted(maps.Keys(r.variables)), ", ")
}

// needs are the stages that write what a stage reads.
func (r *resolver) needs(s stageOf) []string {
	var n []string
	for _, v := range s.spec.Inputs {
		if w := r.writers[v]; w != "" && !slices.Contains(n, w) {
			n = append(n, w)
		}
	}
	slices.Sort(n)
	return n
}

// order is one in which the stages could run one after the other: as written, as far as possible.
func (r *resolver) order() ([]stageOf, error) {
	var out []stageOf
	done := map[string]bool{}
	left := slices.Clone(r.stages)
	for len(left) > 0 {
		i := slices.IndexFunc(left, func(s stageOf) bool {
			return !slices.ContainsFunc(r.needs(s), func(n string) bool { return !done[n] })
		})
		if i < 0 {
			var names []string
			for _, s := range left {
				names = append(names, s.name)
			}
			return nil, fmt.Errorf("stages wait for each other in a circle: %s", strings.Join(names, ", "))
		}
		done[left[i].name] = true
		out = append(out, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return out, nil
}

func (r *resolver) stage(s stageOf, first *runtimev1.Pipeline, places map[string]string) (runtimev1.StageStatus, error) {
	st := runtimev1.StageStatus{Name: s.name, Spec: s.spec, Needs: r.needs(s), State: runtimev1.Pending}
	var errs []error
	for _, name := range s.spec.Inputs {
		in, err := r.input(s, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("input %s of stage %s: %w", name, s.name, err))
		}
		st.Inputs = append(st.Inputs, in)
	}
	for _, name := range s.spec.Outputs {
		out, place, err := r.output(s, name, first)
		if err != nil {
			errs = append(errs, fmt.Errorf("output %s of stage %s: %w", name, s.name, err))
		}
		if place != "" {
			places[name] = place
		}
		st.Outputs = append(st.Outputs, out)
	}
	return st, errors.Join(errs...)
}

// mount is the folder of a variable in a container of a pipeline.
func mount(p *runtimev1.Pipeline, variable string) (string, error) {
	i := slices.IndexFunc(p.Spec.Variables, func(v runtimev1.Variable) bool { return v.Name == variable })
	if i < 0 {
		return "", fmt.Errorf("pipeline %s has no such variable", p.Name)
	}
	m := p.Spec.Variables[i].MountTo
	if m == "" {
		return path.Join(dataDir, variable), nil
	}
	if m = strings.TrimSuffix(m, "/"); !path.IsAbs(m) || path.Clean(m) != m {
		return "", fmt.Errorf("mountTo %q is not a clean absolute path", m)
	}
	return m, nil
}

func (r *resolver) input(s stageOf, name string) (runtimev1.ResolvedInput, error) {
	in := runtimev1.ResolvedInput{Name: name}
	folder, err := mount(s.pipeline, name)
	if err != nil {
		return in, err
	}
	in.Path = folder
	if w := r.writers[name]; w != "" {
		in.Stage = w
		return in, nil
	}
	given, ok := r.run.Spec.Inputs[name]
	var p databox.Place
	switch from := r.variables[name].MountFrom; {
	case ok:
		if p, err = r.place(given.Path); err != nil {
			return in, err
		}
		in.ETag = given.ETag
	case from != nil:
		if p, err = databox.ParsePlace(from.Box + ":/" + strings.TrimPrefix(from.Path, "/")); err == nil {
			err = outsideUsers(p)
		}
		if err != nil {
			return in, fmt.Errorf("mountFrom: %w", err)
		}
	default:
		return in, errors.New("it is needed, and the run names none; name a file (<box>/<group>/<file>) or a folder (<box>/<group>/)")
	}
	var dataset bool
	if in.Bucket, dataset, err = r.where(p.Box); err != nil {
		return in, err
	}
	if p.Developer = p.Developer || dataset; outsideUsers(p) != nil {
		return in, outsideUsers(p)
	}
	key := p.Key(r.run.Spec.User)
	if p.Folder() {
		if key == "" {
			// Never the whole bucket: users' files are in it.
			return in, errors.New("a whole box cannot be an input: name a folder in it")
		}
		in.Prefix = key
		return in, nil
	}
	in.Key, in.Path = key, path.Join(folder, path.Base(key))
	return in, nil
}

// place reads a place that the run names.
func (r *resolver) place(s string) (databox.Place, error) {
	p, err := databox.ParsePlace(s)
	switch {
	case err != nil:
		return p, err
	case p.Developer && r.run.Spec.Origin == runtimev1.OriginAPI:
		return p, fmt.Errorf("%q: a caller of the API cannot name the developer's area", s)
	case !p.Developer && r.run.Spec.User == "":
		return p, fmt.Errorf("%q is among a user's files, and the run has no user; the developer's area is %s:/%s", s, p.Box, p.Path)
	}
	return p, outsideUsers(p)
}

// outsideUsers reports an error for a place in the developer's area that is among users' files.
func outsideUsers(p databox.Place) error {
	if p.Developer && (p.Path == "users" || strings.HasPrefix(p.Path, "users/")) {
		return fmt.Errorf("%s:/%s: users/ is not in the developer's area", p.Box, p.Path)
	}
	return nil
}

func (r *resolver) output(s stageOf, name string, first *runtimev1.Pipeline) (runtimev1.ResolvedOutput, string, error) {
	out := runtimev1.ResolvedOutput{Name: name}
	var err error
	if out.Path, err = mount(s.pipeline, name); err != nil {
		return out, "", err
	}
	where, named := r.run.Spec.Outputs[name]
	if !named {
		if r.read[name] || first.Spec.DefaultBox == "" {
			return out, "", nil // internal, or nobody has a place for it
		}
		where = defaultPlace(r.run, first) + name + "/"
	}
	p, err := databox.ParsePlace(where)
	if named && err == nil {
		p, err = r.place(where)
	}
	if err == nil && !p.Folder() {
		err = fmt.Errorf("%q is not a folder: end it in /", where)
	}
	if err == nil && p.Path == "" {
		err = fmt.Errorf("%q is a whole box: name a folder in it", where)
	}
	if err != nil {
		return out, "", err
	}
	var dataset bool
	out.Box = p.Box
	if out.Bucket, dataset, err = r.where(p.Box); err == nil && dataset {
		err = fmt.Errorf("box %s is another module's dataset: it can only be read", p.Box)
	}
	if err != nil {
		return out, "", err
	}
	out.Prefix = p.Key(r.run.Spec.User)
	return out, where, nil
}

// defaultPlace is the folder for what a run names no place for, and for its run.json.
func defaultPlace(run *runtimev1.PipelineRun, p *runtimev1.Pipeline) string {
	box := p.Spec.DefaultBox
	if run.Spec.User == "" {
		box += ":"
	}
	return box + "/" + p.Name + "/" + run.Name + "/"
}
