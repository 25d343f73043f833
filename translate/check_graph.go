package translate

import (
	"slices"
	"strings"

	"github.com/unip-knative/unip/translate/manifest"
)

// stageVariables checks what a stage reads and writes, and that the folders of its variables do not lie in each other.
func (c *checker) stageVariables(where string, s *manifest.ExperimentPipelineSpec, st manifest.Stage) {
	declared := map[string]manifest.Variable{}
	for _, v := range s.Vars {
		declared[v.Name.Value] = v
	}
	role := map[string]string{}
	var own []manifest.Variable
	for _, list := range []struct {
		field string
		refs  []manifest.Ref
	}{{"inputs", st.Inputs}, {"outputs", st.Outputs}} {
		for _, r := range list.refs {
			name := r.Name.Value
			v, known := declared[name]
			switch before := role[name]; {
			case name == "":
				c.found.Errorf(r.Field("name"), "%s.%s: an entry has no name", where, list.field)
				continue
			case !known:
				c.found.Errorf(r.Name.At, "%s.%s: there is no variable %q%s", where, list.field, name, variablesOf(s))
				continue
			case before == list.field:
				c.found.Errorf(r.Name.At, "%s.%s: %s is there twice", where, list.field, name)
				continue
			case before != "":
				c.found.Errorf(r.Name.At, "%s: %s is both an input and an output: write what changes into another variable", where, name)
				continue
			}
			role[name] = list.field
			own = append(own, v)
		}
	}
	for i, v := range own {
		for _, w := range own[:i] {
			c.apart(v, w)
		}
	}
}

// apart checks that no folder of two variables lies in the other's.
func (c *checker) apart(v, w manifest.Variable) {
	if !v.Has("mountTo") || (w.Has("mountTo") && comparePositions(v.Position, w.Position) < 0) {
		v, w = w, v // told once, at the later one
	}
	a, b := folderOf(v)+"/", folderOf(w)+"/"
	if strings.HasPrefix(a, b) || strings.HasPrefix(b, a) {
		c.found.Errorf(v.Field("mountTo"), "variables %s and %s of one stage: %s and %s lie in each other; give them folders of their own", v.Name.Value, w.Name.Value, folderOf(v), folderOf(w))
	}
}

func variablesOf(s *manifest.ExperimentPipelineSpec) string {
	var all []string
	for _, v := range s.Vars {
		all = append(all, v.Name.Value)
	}
	if len(all) == 0 {
		return "; spec.vars is empty"
	}
	slices.Sort(all)
	return "; there are " + strings.Join(all, ", ")
}

// graph checks that each variable has one writer at most, and that no stage waits for itself.
func (c *checker) graph(s *manifest.ExperimentPipelineSpec) {
	writer := map[string]int{}
	for i, st := range s.Stages {
		for _, o := range st.Outputs {
			if before, twice := writer[o.Name.Value]; twice && before != i {
				c.found.Errorf(o.Name.At, "spec.stages[%d].outputs: %s is written by stage %s already: a variable has one writer", i, o.Name.Value, s.Stages[before].Name.Value)
				continue
			}
			writer[o.Name.Value] = i
		}
	}
	needs := func(i int) []int {
		var n []int
		for _, in := range s.Stages[i].Inputs {
			if w, ok := writer[in.Name.Value]; ok && w != i {
				n = append(n, w)
			}
		}
		return n
	}
	if circle := findCircle(len(s.Stages), needs); circle != nil {
		var all []string
		for _, i := range append(circle, circle[0]) {
			all = append(all, s.Stages[i].Name.Value)
		}
		c.found.Errorf(s.Stages[circle[0]].Field("name"), "spec.stages: stages wait for each other in a circle: %s", strings.Join(all, " waits for "))
	}
}

// findCircle finds nodes each of which needs the next and the last the first; nil if there is no such circle. It begins with the smallest node in it.
func findCircle(nodes int, needs func(int) []int) []int {
	const entered, left = 1, 2
	state := make([]int, nodes)
	var way, circle []int
	var enter func(int) bool
	enter = func(i int) bool {
		state[i] = entered
		way = append(way, i)
		for _, n := range needs(i) {
			if state[n] == entered {
				circle = slices.Clone(way[slices.Index(way, n):])
				return true
			}
			if state[n] == 0 && enter(n) {
				return true
			}
		}
		state[i] = left
		way = way[:len(way)-1]
		return false
	}
	for i := range nodes {
		if state[i] == 0 && enter(i) {
			at := slices.Index(circle, slices.Min(circle))
			return append(circle[at:], circle[:at]...)
		}
	}
	return nil
}
