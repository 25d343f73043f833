package module

import (
	"fmt"
	"slices"
	"strings"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/translate/manifest"
)

// What eventing/pipeline finds wrong with the graph of a pipeline, or of a chain of them, is told
// here in the words of the manifests and at their places.

// chains finds the graphs of a module's pipelines together with those that they continue with.
type chains struct {
	objects
	specs map[string]*runtimev1.PipelineSpec // decided, by the pipelines' names
}

// flow is what runs of a pipeline read and write, in all of its chain.
type flow struct {
	*pipeline.Graph
	chain []pipeline.Pipeline
	end   pipeline.End
	// noFile are inputs that no API takes a file for.
	noFile map[string]bool
}

// uploaded reports an input that a rule gives, of the pipeline or of one whose runs go through it.
func (c chains) uploaded(pipeline, variable string) bool {
	gives := func(r manifest.UploadRule) bool { return r.Input.Value == variable }
	return slices.ContainsFunc(c.read.Pipelines, func(x *manifest.ExperimentPipeline) bool {
		return slices.ContainsFunc(x.Uploads, gives) && c.leadsTo(x.Meta.Name.Value, pipeline)
	})
}

func (c chains) flow(name string, spec *runtimev1.PipelineSpec) flow {
	chain, end := c.follow(name, spec)
	return flow{pipeline.Of(chain...), chain, end, map[string]bool{}}
}

// follow is what runs of a pipeline go through.
func (c chains) follow(name string, spec *runtimev1.PipelineSpec) ([]pipeline.Pipeline, pipeline.End) {
	find := func(name string) (pipeline.Pipeline, bool, error) {
		spec, ok := c.specs[name]
		return pipeline.Pipeline{Name: name, Spec: spec}, ok, nil
	}
	chain, end, _ := pipeline.Follow(pipeline.Pipeline{Name: name, Spec: spec}, find) // find has no errors
	return chain, end
}

// leadsTo reports whether a run of a pipeline goes through another one.
func (c chains) leadsTo(from, to string) bool {
	spec := c.specs[from]
	if spec == nil {
		return false
	}
	chain, _ := c.follow(from, spec)
	return slices.ContainsFunc(chain, func(p pipeline.Pipeline) bool { return p.Name == to })
}

// whole is false when one of the chain is not there, could not be read, or comes again.
func (f flow) whole() bool { return f.end == pipeline.Whole }

func (f flow) declares(variable string) bool {
	_, ok := f.Variable(variable)
	return ok
}

// writer is the name of the stage that writes a variable; "" when none does.
func (f flow) writer(variable string) string {
	if i, ok := f.Writer(variable); ok {
		return f.Stages[i].Spec.Name
	}
	return ""
}

// ownTarget is the folder that a written variable goes to by its mountFrom; false when it has none, or
// one that is wrong. A later pipeline may say where the variable comes from when it runs alone.
func (f flow) ownTarget(variable string) (databox.Place, bool) {
	writer, written := f.Writer(variable)
	if !written {
		return databox.Place{}, false
	}
	v, _ := f.Declared(writer, variable)
	if v.MountFrom == nil {
		return databox.Place{}, false
	}
	p, err := pipeline.OutputPlace(*v.MountFrom)
	return p, err == nil
}

// forUser is a variable that goes among the files of the run's user by its mountFrom; "" when none does.
func (f flow) forUser() string {
	for _, name := range f.Graph.Outputs() {
		if p, ok := f.ownTarget(name); ok && !p.Developer {
			return name
		}
	}
	return ""
}

// of names a stage and its pipeline.
func (f flow) of(stage int) string {
	return fmt.Sprintf("%s of %s", f.Stages[stage].Spec.Name, f.chain[f.Stages[stage].Pipeline].Name)
}

func chainNames(all []pipeline.Pipeline) string {
	var names []string
	for _, p := range all {
		names = append(names, p.Name)
	}
	return strings.Join(names, " -> ")
}

// declaredAt is where a variable of a chain is declared first.
func (c chains) declaredAt(f flow, variable string) manifest.Position {
	for _, p := range f.chain {
		for _, v := range c.pipelines[p.Name].Spec.Vars {
			if v.Name.Value == variable {
				return v.Position
			}
		}
	}
	return manifest.Position{}
}

// checkStages checks that a pipeline has stages, that each of its variables has one writer at most,
// and that no stage waits for itself.
func checkStages(found *scope, x *manifest.ExperimentPipelineSpec, g *pipeline.Graph) {
	for _, p := range g.Problems() {
		switch p.Kind {
		case pipeline.NoStages:
			found.Errorf(x.Field("stages"), "spec.stages: a pipeline needs at least one stage")
		case pipeline.TooManyStages:
			found.Errorf(x.Field("stages"), "spec.stages: %d stages are more than %d", len(g.Stages),
				pipeline.MaxStages)
		case pipeline.TwoWriters:
			before, again := p.Stages[0], p.Stages[1]
			i := slices.IndexFunc(x.Stages[again].Outputs,
				func(r manifest.Ref) bool { return r.Name.Value == p.Variable })
			found.Errorf(x.Stages[again].Outputs[i].Name.At,
				"spec.stages[%d].outputs: %s is written by stage %s already: "+
					"a variable has one writer", again, p.Variable, g.Stages[before].Name)
		case pipeline.InCircle:
			if len(p.Stages) > 1 { // of one that reads what it writes is told where it does
				names := g.Names(append(p.Stages, p.Stages[0]))
				found.Errorf(x.Stages[p.Stages[0]].Field("name"),
					"spec.stages: stages wait for each other in a circle: %s",
					strings.Join(names, " waits for "))
			}
		}
	}
}

// checkContinued checks a pipeline together with those that come after it.
func checkContinued(s *scope, x *manifest.ExperimentPipeline, f flow) {
	w := x.Spec.ContinueWith
	if w == nil {
		return
	}
	next := w.Pipeline()
	switch {
	case next.Value == "":
		s.Errorf(w.Position, "spec.continueWith: the name of a pipeline is missing: {experimentPipeline: {name: …}}")
	case s.read.Lacks("ExperimentPipeline", next.Value, s.pipelines[next.Value] != nil):
		s.Errorf(next.At, "spec.continueWith: there is no ExperimentPipeline %q%s", next.Value, thereAre(s.pipelines))
	case f.end == pipeline.Loops && f.chain[len(f.chain)-1].Spec.ContinueWith == x.Meta.Name.Value:
		checkCircle(s, w.Position, f.chain)
	case f.end == pipeline.TooLong:
		s.Errorf(next.At, "spec.continueWith: more than %d pipelines one after the other", pipeline.MaxChain)
	case f.whole(): // else told where it is wrong
		checkJoined(s, next.At, f)
	}
}

// checkCircle tells a circle of pipelines once: at the one whose name comes first.
func checkCircle(found *scope, at manifest.Position, chain []pipeline.Pipeline) {
	for _, p := range chain {
		if p.Name < chain[0].Name {
			return
		}
	}
	found.Errorf(at,
		"spec.continueWith: pipelines continue each other in a circle: %s -> %s", chainNames(chain), chain[0].Name)
}

// checkJoined checks the first pipeline of a chain against the others; those among themselves are
// checked with the first of them.
func checkJoined(found *scope, at manifest.Position, f flow) {
	early := ""
	for _, p := range f.Problems() {
		if p.Kind == pipeline.TooManyStages {
			found.Errorf(at,
				"spec.continueWith: %s has %d stages together, more than %d", chainNames(f.chain), len(f.Stages),
				pipeline.MaxStages)
		}
		if len(p.Stages) < 2 || f.Stages[p.Stages[0]].Pipeline != 0 || f.Stages[p.Stages[1]].Pipeline == 0 {
			continue
		}
		switch p.Kind {
		case pipeline.TwoWriters:
			found.Errorf(at, "spec.continueWith: %s is written twice: by stage %s and by stage %s",
				p.Variable, f.of(p.Stages[0]), f.of(p.Stages[1]))
		case pipeline.ReadTooEarly:
			if p.Variable != early { // the first of its readers is enough
				found.Errorf(at, "spec.continueWith: stage %s reads %s, which is only written later, by stage %s",
					f.of(p.Stages[0]), p.Variable, f.of(p.Stages[1]))
			}
			early = p.Variable
		}
	}
}

// checkStageVariables checks what a stage reads and writes, and that the folders of its variables
// do not lie in each other.
func checkStageVariables(s *scope, where string, x *manifest.ExperimentPipelineSpec, st manifest.Stage) {
	declared := map[string]manifest.Variable{}
	for _, v := range x.Vars {
		declared[v.Name.Value] = v
	}
	role := map[string]string{}
	var used []manifest.Variable
	for _, list := range []struct {
		field string
		refs  []manifest.Ref
	}{{"inputs", st.Inputs}, {"outputs", st.Outputs}} {
		for _, r := range list.refs {
			name := r.Name.Value
			v, known := declared[name]
			switch before := role[name]; {
			case name == "":
				s.Errorf(r.Field("name"), "%s.%s: an entry has no name", where, list.field)
				continue
			case !known:
				s.Errorf(r.Name.At, "%s.%s: there is no variable %q%s", where, list.field, name, variablesOf(x))
				continue
			case before == list.field:
				s.Errorf(r.Name.At, "%s.%s: %s is there twice", where, list.field, name)
				continue
			case before != "":
				s.Errorf(r.Name.At, "%s: %s is both an input and an output: write what changes into another variable",
					where, name)
				continue
			}
			role[name] = list.field
			used = append(used, v)
		}
	}
	for i, v := range used {
		for _, w := range used[:i] {
			checkApart(s, v, w)
		}
	}
}

// checkApart checks that no folder of two variables lies in the other's.
func checkApart(found *scope, v, w manifest.Variable) {
	if !v.Has("mountTo") || (w.Has("mountTo") && v.Position.Compare(w.Position) < 0) {
		v, w = w, v // told once, at the later one
	}
	a, b := placed(v), placed(w)
	if pipeline.Nested(a, b) {
		found.Errorf(v.Field("mountTo"),
			"variables %s and %s of one stage: %s and %s lie in each other; give them folders of their own",
			a.Name, b.Name, pipeline.Folder(a), pipeline.Folder(b))
	}
}

// placed is a variable with its folder.
func placed(v manifest.Variable) runtimev1.Variable {
	return runtimev1.Variable{Name: v.Name.Value, MountTo: v.MountTo.Value}
}

func variablesOf(x *manifest.ExperimentPipelineSpec) string {
	var all []string
	for _, v := range x.Vars {
		all = append(all, v.Name.Value)
	}
	if len(all) == 0 {
		return "; spec.vars is empty"
	}
	slices.Sort(all)
	return "; there are " + strings.Join(all, ", ")
}

// noteWanted notes variables that a run must name, but that no API and no rule can.
func noteWanted(s *scope, c chains) {
	continues := map[string]bool{}
	for _, x := range s.read.Pipelines {
		continues[x.Spec.ContinueWith.Pipeline().Value] = true
	}
	for _, x := range s.read.Pipelines {
		if _, scheduled := x.Meta.Annotations[manifest.Schedule.Name]; scheduled {
			continue // for its runs they are an error
		}
		name := x.Meta.Name.Value
		given, api := givenTo(s.read, x)
		f := c.flow(name, c.specs[name])
		if !f.whole() || (continues[name] && !api && len(x.Uploads) == 0) { // a part of another pipeline's runs only
			continue
		}
		for _, v := range f.Wanted() {
			if !given[v] {
				s.Notef(c.declaredAt(f, v),
					"variable %s: no stage writes it, and neither a mountFrom nor an API or an upload of %s "+
						"gives it: only a PipelineRun made with kubectl can", v, name)
			}
		}
	}
}

// givenTo are the variables that the rules and the APIs of a pipeline give, and whether it has an
// API.
func givenTo(read *manifest.Module, x *manifest.ExperimentPipeline) (given map[string]bool, api bool) {
	given = map[string]bool{}
	for _, r := range x.Uploads {
		given[r.Input.Value] = true
	}
	for _, a := range read.APIs {
		r := a.Spec.ExperimentPipeline
		if r == nil || r.Name.Value != x.Meta.Name.Value || a.Spec.APISpec == nil {
			continue
		}
		api = true
		for _, v := range a.Spec.APISpec.Inputs {
			given[v.Name.Value] = true
		}
	}
	return given, api
}

// alwaysGiven are the variables that an upload, or each call of an API, gives to a pipeline.
func alwaysGiven(read *manifest.Module, x *manifest.ExperimentPipeline) map[string]bool {
	given := map[string]bool{}
	for _, r := range x.Uploads {
		given[r.Input.Value] = true
	}
	for _, a := range read.APIs {
		r := a.Spec.ExperimentPipeline
		if r == nil || r.Name.Value != x.Meta.Name.Value || a.Spec.APISpec == nil {
			continue
		}
		for _, v := range a.Spec.APISpec.Inputs {
			given[v.Name.Value] = given[v.Name.Value] || v.Required == nil || *v.Required
		}
	}
	return given
}
