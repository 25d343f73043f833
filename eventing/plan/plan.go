package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/printable"
)

// Plan is what a run shall do, before anything has been looked at in S3.
type Plan struct {
	// Stages are Pending, in an order in which they could run one after the other.
	Stages []runtimev1.StageStatus
	// Outputs are places by variable, as people write them.
	Outputs map[string]string
	// Kept says which variables are not where connectedBoxes would have them, and why.
	Kept []string
	// ContentTypes are the media types that uploaded files must have, by variable.
	ContentTypes map[string][]string
}

// maxKept bounds what a run tells of its variables' places.
const maxKept = 8

// KeptLine says in one line which variables are not where connectedBoxes would have them.
func (p Plan) KeptLine() string {
	kept := p.Kept
	more := ""
	if n := len(kept) - maxKept; n > 0 {
		kept, more = kept[:maxKept], fmt.Sprintf("; and %d more", n)
	}
	return printable.Line(strings.Join(kept, "; ") + more)
}

// Box is where the files of a box are.
type Box struct {
	Bucket string
	// Dataset is a reference to another module's: it is only read, and no part of it belongs to a
	// user. Prefix is what its paths begin with in the bucket.
	Dataset bool
	Prefix  string
	// Capacity in bytes of one that is written; 0 is no bound.
	Capacity int64
}

// FindBox finds a box.
type FindBox func(box string) (Box, error)

// Make joins the pipelines of a chain, of which there is at least one, into the stages of one run,
// and says where each variable comes from and goes to. chain and end are those of pipeline.Follow.
// Its errors are mistakes of the caller or the pipeline: trying again does not help.
func Make(run *runtimev1.PipelineRun, chain []pipeline.Pipeline, end pipeline.End, find FindBox) (Plan, error) {
	if err := checkEnd(chain, end); err != nil {
		return Plan{}, err
	}
	g := pipeline.Of(chain...)
	problems := g.Problems()
	if err := checkLimits(g, problems); err != nil {
		return Plan{}, err
	}
	r := resolver{run: run, chain: chain, graph: g, find: find}
	if err := r.checkNames(); err != nil {
		return Plan{}, err
	}
	if err := checkOrder(g, problems); err != nil {
		return Plan{}, err
	}
	p := Plan{Outputs: map[string]string{}, ContentTypes: map[string][]string{}}
	for name := range run.Spec.Inputs {
		if v, _ := g.Variable(name); run.Spec.Origin == runtimev1.OriginUpload && len(v.ContentTypes) > 0 {
			p.ContentTypes[name] = v.ContentTypes
		}
	}
	for _, i := range g.Order() {
		st, err := r.stage(i, &p)
		if err != nil {
			return Plan{}, err
		}
		p.Stages = append(p.Stages, st)
	}
	return p, nil
}

// checkEnd reports a chain that does not come to its end: a run would leave out what comes after.
func checkEnd(chain []pipeline.Pipeline, end pipeline.End) error {
	next := chain[len(chain)-1].Spec.ContinueWith
	switch end {
	case pipeline.Loops:
		var names strings.Builder
		for _, p := range chain {
			names.WriteString(p.Name + " -> ")
		}
		return fmt.Errorf("pipelines continue each other in a circle: %s%s", &names, next)
	case pipeline.TooLong:
		return fmt.Errorf("more than %d pipelines one after the other", pipeline.MaxChain)
	case pipeline.Missing:
		return fmt.Errorf("there is no Pipeline %s to continue with", next)
	case pipeline.Whole:
	}
	return nil
}

// checkLimits reports a number of stages that no run may have, and a variable with two writers.
func checkLimits(g *pipeline.Graph, problems []pipeline.Problem) error {
	for _, p := range problems {
		switch p.Kind {
		case pipeline.NoStages, pipeline.TooManyStages, pipeline.TwoWriters:
			return errors.New(g.Describe(p))
		case pipeline.ReadsItself, pipeline.ReadTooEarly, pipeline.InCircle:
		}
	}
	return nil
}

// checkOrder reports stages that would wait for ever. That a stage reads what a later pipeline
// writes is unusual, and yet it has an order.
func checkOrder(g *pipeline.Graph, problems []pipeline.Problem) error {
	for _, p := range problems {
		switch p.Kind {
		case pipeline.ReadsItself:
			return errors.New(g.Describe(p))
		case pipeline.InCircle:
			order := g.Order()
			var left []string
			for i, s := range g.Stages {
				if !slices.Contains(order, i) {
					left = append(left, s.Name)
				}
			}
			return fmt.Errorf("stages wait for each other in a circle: %s", strings.Join(left, ", "))
		case pipeline.NoStages, pipeline.TooManyStages, pipeline.TwoWriters, pipeline.ReadTooEarly:
		}
	}
	return nil
}

// resolver finds the places of one run's variables.
type resolver struct {
	run   *runtimev1.PipelineRun
	chain []pipeline.Pipeline
	graph *pipeline.Graph
	find  FindBox
}

// maxErrors bounds what a run is told to be wrong with it: it may name very many things that are
// not there.
const maxErrors = 8

// checkNames checks the variables that the run names.
func (r *resolver) checkNames() error {
	var errs []error
	// variables says what there is, with the first error only.
	variables := func() string {
		if len(errs) > 0 {
			return ""
		}
		return "; there are " + strings.Join(r.graph.Variables(), ", ")
	}
	check := func(name, role string, fits func(written bool, writer string) error) {
		if len(errs) == maxErrors {
			return
		}
		if _, declared := r.graph.Variable(name); !declared {
			errs = append(errs, fmt.Errorf("there is no variable %q to be an %s%s", name, role, variables()))
			return
		}
		if err := fits(r.writer(name)); err != nil {
			errs = append(errs, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.run.Spec.Inputs)) {
		check(name, "input", func(written bool, writer string) error {
			if written {
				return fmt.Errorf("variable %s cannot be an input: stage %s writes it", name, writer)
			}
			return nil
		})
	}
	for _, name := range slices.Sorted(maps.Keys(r.run.Spec.Outputs)) {
		check(name, "output", func(written bool, _ string) error {
			if !written {
				return fmt.Errorf("variable %s cannot be an output: no stage writes it", name)
			}
			return nil
		})
	}
	return errors.Join(errs...)
}

// writer is the name of the stage that writes a variable.
func (r *resolver) writer(variable string) (written bool, stage string) {
	i, ok := r.graph.Writer(variable)
	if !ok {
		return false, ""
	}
	return true, r.graph.Stages[i].Name
}

// stage resolves one stage, and adds to the plan where its outputs go.
func (r *resolver) stage(i int, p *Plan) (runtimev1.StageStatus, error) {
	s := r.graph.Stages[i]
	needs := r.graph.Names(r.graph.Needs(i))
	slices.Sort(needs)
	st := runtimev1.StageStatus{Name: s.Name, Spec: *s.Spec, Needs: needs, State: runtimev1.Pending}
	var errs []error
	l := layout{stage: s.Name, mounts: r.chain[s.Pipeline].Spec.Mounts}
	for _, name := range s.Spec.Inputs {
		in, at, err := r.input(i, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("input %s of stage %s: %w", name, s.Name, err))
		}
		st.Inputs = append(st.Inputs, in)
		l.add(name, in.Path, r.fixed(i, name), at)
	}
	for _, name := range s.Spec.Outputs {
		out, at, place, err := r.output(i, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("output %s of stage %s: %w", name, s.Name, err))
		}
		if place != "" {
			p.Outputs[name] = place
		}
		st.Outputs = append(st.Outputs, out)
		l.add(name, out.Path, r.fixed(i, name), at)
	}
	if err := errors.Join(errs...); err != nil {
		return st, err
	}
	all, kept := l.settle()
	for i := range st.Inputs {
		st.Inputs[i].Path, st.Inputs[i].Mount = all[i].Path, all[i].Mount
	}
	for i, at := range all[len(st.Inputs):] {
		st.Outputs[i].Path, st.Outputs[i].Mount = at.Path, at.Mount
	}
	p.Kept = append(p.Kept, kept...)
	return st, nil
}

// fixed reports a variable whose mountTo says where it lies.
func (r *resolver) fixed(stage int, variable string) bool {
	v, _ := r.graph.Declared(stage, variable)
	return v.MountTo != ""
}

// folder is that of a variable in a stage's container.
func (r *resolver) folder(stage int, variable string) (string, error) {
	v, declared := r.graph.Declared(stage, variable)
	if !declared {
		return "", fmt.Errorf("pipeline %s has no such variable", r.chain[r.graph.Stages[stage].Pipeline].Name)
	}
	return pipeline.Folder(v), pipeline.CheckFolder(v)
}
