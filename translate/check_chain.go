package translate

import (
	"slices"
	"strings"

	"github.com/unip-knative/unip/translate/manifest"
)

// maxChain is how many pipelines may continue each other; the controller knows the same number.
const maxChain = 16

// chain is a pipeline and those that it continues with. whole is false when one of them is not there, could not be read, or comes again.
func (c *checker) chain(x *manifest.ExperimentPipeline) (all []*manifest.ExperimentPipeline, whole bool) {
	for len(all) < maxChain {
		all = append(all, x)
		next := x.Spec.ContinueWith.Pipeline().Value
		if next == "" {
			return all, true
		}
		if x = c.pipelines[next]; x == nil || slices.Contains(all, x) {
			return all, false
		}
	}
	return all, false
}

// continued checks a pipeline together with those that come after it.
func (c *checker) continued(x *manifest.ExperimentPipeline) {
	w := x.Spec.ContinueWith
	if w == nil {
		return
	}
	next := w.Pipeline()
	switch {
	case next.Value == "":
		c.found.Errorf(w.Position, "spec.continueWith: the name of a pipeline is missing: {experimentPipeline: {name: …}}")
		return
	case c.module.Lacks("ExperimentPipeline", next.Value, c.pipelines[next.Value] != nil):
		c.found.Errorf(next.At, "spec.continueWith: there is no ExperimentPipeline %q%s", next.Value, c.pipelineNames())
		return
	}
	all, whole := c.chain(x)
	last := all[len(all)-1]
	switch after := last.Spec.ContinueWith.Pipeline().Value; {
	case after == x.Meta.Name.Value:
		c.circle(x, all)
		return
	case len(all) == maxChain && after != "":
		c.found.Errorf(next.At, "spec.continueWith: more than %d pipelines one after the other", maxChain)
		return
	case !whole:
		return // said where it is wrong
	}
	stages := 0
	for _, p := range all {
		stages += len(p.Spec.Stages)
	}
	if stages > maxStages {
		c.found.Errorf(next.At, "spec.continueWith: %s has %d stages together, more than %d", chainNames(all), stages, maxStages)
	}
	c.joined(x, all[1:], next.At)
}

// circle is told once: at the pipeline whose name comes first.
func (c *checker) circle(x *manifest.ExperimentPipeline, all []*manifest.ExperimentPipeline) {
	for _, p := range all {
		if p.Meta.Name.Value < x.Meta.Name.Value {
			return
		}
	}
	c.found.Errorf(x.Spec.ContinueWith.Position, "spec.continueWith: pipelines continue each other in a circle: %s -> %s", chainNames(all), x.Meta.Name.Value)
}

// joined checks variables of one name in a pipeline and in those after it: they are one variable.
func (c *checker) joined(x *manifest.ExperimentPipeline, later []*manifest.ExperimentPipeline, at manifest.Position) {
	for _, v := range x.Spec.Vars {
		name := v.Name.Value
		reader, writer := usedBy(&x.Spec, name)
		for _, p := range later {
			_, again := usedBy(&p.Spec, name)
			switch {
			case again == "":
			case writer != "":
				c.found.Errorf(at, "spec.continueWith: %s is written twice: by stage %s of %s and by stage %s of %s", name, writer, x.Meta.Name.Value, again, p.Meta.Name.Value)
			case reader != "":
				c.found.Errorf(at, "spec.continueWith: stage %s of %s reads %s, which is only written later, by stage %s of %s", reader, x.Meta.Name.Value, name, again, p.Meta.Name.Value)
			}
		}
	}
}

func chainNames(all []*manifest.ExperimentPipeline) string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Meta.Name.Value
	}
	return strings.Join(names, " -> ")
}

func (c *checker) pipelineNames() string {
	if len(c.pipelines) == 0 {
		return ""
	}
	return "; there are " + strings.Join(sortedKeys(c.pipelines), ", ")
}

// flow is what a run of a chain reads and writes.
type flow struct {
	declared map[string]manifest.Variable // the first of a name
	writers  map[string]string            // stage by variable
	readers  map[string]string
	whole    bool
}

func (c *checker) flow(x *manifest.ExperimentPipeline) flow {
	f := flow{declared: map[string]manifest.Variable{}, writers: map[string]string{}, readers: map[string]string{}}
	var all []*manifest.ExperimentPipeline
	all, f.whole = c.chain(x)
	for _, p := range all {
		for _, v := range p.Spec.Vars {
			if before, ok := f.declared[v.Name.Value]; !ok || (before.MountFrom == nil && v.MountFrom != nil) {
				f.declared[v.Name.Value] = v
			}
		}
		for _, st := range p.Spec.Stages {
			for _, r := range st.Inputs {
				f.readers[r.Name.Value] = st.Name.Value
			}
			for _, r := range st.Outputs {
				f.writers[r.Name.Value] = st.Name.Value
			}
		}
	}
	return f
}

// wanted are the variables that a run must name: read, written by no stage, and with no mountFrom. In order of their names.
func (f flow) wanted() []string {
	var all []string
	for _, name := range sortedKeys(f.readers) {
		if v, ok := f.declared[name]; ok && f.writers[name] == "" && v.MountFrom == nil {
			all = append(all, name)
		}
	}
	return all
}

// given notes variables that a run must name, but that no API and no rule can.
func (c *checker) given() {
	continues := map[string]bool{}
	for _, x := range c.module.Pipelines {
		continues[x.Spec.ContinueWith.Pipeline().Value] = true
	}
	for _, x := range c.module.Pipelines {
		named := map[string]bool{}
		for _, r := range x.Uploads {
			named[r.Input.Value] = true
		}
		api := false
		for _, a := range c.module.APIs {
			if r := a.Spec.ExperimentPipeline; r != nil && r.Name.Value == x.Meta.Name.Value && a.Spec.APISpec != nil {
				api = true
				for _, v := range a.Spec.APISpec.Inputs {
					named[v.Name.Value] = true
				}
			}
		}
		if _, ok := x.Meta.Annotations[manifest.Schedule.Name]; ok {
			continue // for its runs they are an error
		}
		f := c.flow(x)
		if !f.whole || (continues[x.Meta.Name.Value] && !api && len(x.Uploads) == 0) { // a part of another pipeline's runs only
			continue
		}
		for _, name := range f.wanted() {
			if !named[name] {
				c.found.Notef(f.declared[name].Position, "variable %s: no stage writes it, and neither a mountFrom nor an API or an upload of %s gives it: only a PipelineRun made with kubectl can", name, x.Meta.Name.Value)
			}
		}
	}
}
