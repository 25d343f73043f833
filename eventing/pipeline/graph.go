package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// Graph is the stages of a chain and what flows between them. Stages are told by their index in
// Stages.
type Graph struct {
	// Stages in the order in which they are written, pipeline after pipeline.
	Stages []Stage

	chain     []Pipeline
	variables map[string]runtimev1.Variable
	writers   map[string][]int
	readers   map[string][]int
}

// Stage is one stage of a chain.
type Stage struct {
	// Name is the stage's own; in a chain of several pipelines "<pipeline>/<stage>".
	Name string
	// Pipeline is the index in the chain of the pipeline that has it.
	Pipeline int
	Spec     *runtimev1.Stage
}

// Of makes the graph of a chain. It takes what is wrong as well: Problems says what that is.
func Of(chain ...Pipeline) *Graph {
	g := &Graph{
		chain:     chain,
		variables: map[string]runtimev1.Variable{},
		writers:   map[string][]int{},
		readers:   map[string][]int{},
	}
	for at, p := range chain {
		for _, v := range p.Spec.Variables {
			g.join(v)
		}
		for i := range p.Spec.Stages {
			g.add(p, at, &p.Spec.Stages[i])
		}
	}
	return g
}

// join adds a declaration. Of several of one name the first counts, or the first that says where
// the variable comes from.
func (g *Graph) join(v runtimev1.Variable) {
	before, declared := g.variables[v.Name]
	if !declared || (before.MountFrom == nil && v.MountFrom != nil) {
		g.variables[v.Name] = v
	}
}

func (g *Graph) add(p Pipeline, at int, s *runtimev1.Stage) {
	name := s.Name
	if len(g.chain) > 1 {
		name = p.Name + "/" + s.Name
	}
	i := len(g.Stages)
	g.Stages = append(g.Stages, Stage{Name: name, Pipeline: at, Spec: s})
	for _, v := range s.Inputs {
		g.readers[v] = appendStage(g.readers[v], i)
	}
	for _, v := range s.Outputs {
		g.writers[v] = appendStage(g.writers[v], i)
	}
}

// appendStage adds a stage to those before it, unless it is there: a stage may name a variable
// twice.
func appendStage(before []int, i int) []int {
	if n := len(before); n > 0 && before[n-1] == i {
		return before
	}
	return append(before, i)
}

// Variable is a variable of the chain. Its MountTo is of one of the pipelines: see Declared.
func (g *Graph) Variable(name string) (runtimev1.Variable, bool) {
	v, ok := g.variables[name]
	return v, ok
}

// Variables are the names of all variables, sorted.
func (g *Graph) Variables() []string { return sorted(g.variables) }

// Declared is a variable as the pipeline of a stage declares it, which says where it lies in the
// stage's container.
func (g *Graph) Declared(stage int, name string) (runtimev1.Variable, bool) {
	all := g.chain[g.Stages[stage].Pipeline].Spec.Variables
	i := slices.IndexFunc(all, func(v runtimev1.Variable) bool { return v.Name == name })
	if i < 0 {
		return runtimev1.Variable{}, false
	}
	return all[i], true
}

// Writer is the stage that writes a variable. In a graph with problems it is the first of several.
func (g *Graph) Writer(variable string) (stage int, ok bool) {
	w := g.writers[variable]
	if len(w) == 0 {
		return 0, false
	}
	return w[0], true
}

// Readers are the stages that read a variable.
func (g *Graph) Readers(variable string) []int { return g.readers[variable] }

// Internal reports a variable that a stage reads and that is not one of those kept: without a place of
// its own it goes nowhere.
func (g *Graph) Internal(variable string, kept []string) bool {
	return len(g.readers[variable]) > 0 && !slices.Contains(kept, variable)
}

// Needs are the other stages that write what a stage reads, in the order in which it reads.
func (g *Graph) Needs(stage int) []int {
	var needs []int
	for _, v := range g.Stages[stage].Spec.Inputs {
		if w, ok := g.Writer(v); ok && w != stage && !slices.Contains(needs, w) {
			needs = append(needs, w)
		}
	}
	return needs
}

// Names are the names of stages.
func (g *Graph) Names(stages []int) []string {
	var names []string
	for _, i := range stages {
		names = append(names, g.Stages[i].Name)
	}
	return names
}

// Wanted are the variables that a run must be given, sorted: some stage reads them, none writes
// them, and no mountFrom says where they come from.
func (g *Graph) Wanted() []string {
	var wanted []string
	for _, name := range sorted(g.readers) {
		_, written := g.Writer(name)
		if v, declared := g.variables[name]; declared && !written && v.MountFrom == nil {
			wanted = append(wanted, name)
		}
	}
	return wanted
}

// Inputs are the variables that a run may be given, and Outputs those that it leaves, each in the
// order of their declarations. A variable that no stage uses is neither.
func (g *Graph) Inputs() []string {
	return g.declaredWhere(func(name string, written bool) bool { return !written && len(g.readers[name]) > 0 })
}

// Outputs are the variables that stages write.
func (g *Graph) Outputs() []string {
	return g.declaredWhere(func(_ string, written bool) bool { return written })
}

func (g *Graph) declaredWhere(is func(name string, written bool) bool) []string {
	names := []string{}
	for _, p := range g.chain {
		for _, v := range p.Spec.Variables {
			_, written := g.Writer(v.Name)
			if is(v.Name, written) && !slices.Contains(names, v.Name) {
				names = append(names, v.Name)
			}
		}
	}
	return names
}

// Order is the stages in an order in which they could run one after the other: as they are written,
// as far as possible. What waits in a circle, and what waits for that, is left out.
func (g *Graph) Order() []int {
	order := make([]int, 0, len(g.Stages))
	done := make([]bool, len(g.Stages))
	for next := g.ready(done); next >= 0; next = g.ready(done) {
		done[next] = true
		order = append(order, next)
	}
	return order
}

// ready is the first stage that is not done and waits for none that is not; -1 when there is none.
func (g *Graph) ready(done []bool) int {
	for i := range g.Stages {
		if !done[i] && !slices.ContainsFunc(g.Needs(i), func(n int) bool { return !done[n] }) {
			return i
		}
	}
	return -1
}

// Circle is stages each of which waits for the next, and the last for the first, which is the
// smallest; nil when there are none.
func (g *Graph) Circle() []int {
	const entered, left = 1, 2
	state := make([]int, len(g.Stages))
	var way, circle []int
	var enter func(int) bool
	enter = func(i int) bool {
		state[i] = entered
		way = append(way, i)
		for _, n := range g.Needs(i) {
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
	for i := range g.Stages {
		if state[i] == 0 && enter(i) {
			at := slices.Index(circle, slices.Min(circle))
			return append(circle[at:], circle[:at]...)
		}
	}
	return nil
}

// Kind is what is wrong.
type Kind int

const (
	// NoStages and TooManyStages: a chain has 1 to MaxStages.
	NoStages Kind = iota
	TooManyStages
	// TwoWriters: the first of Stages writes Variable, and so does the second.
	TwoWriters
	// ReadsItself: the one stage of Stages reads Variable and writes it.
	ReadsItself
	// ReadTooEarly: the first of Stages reads Variable, which only the second writes, of a later
	// pipeline.
	ReadTooEarly
	// InCircle: each of Stages waits for the next, the last for the first.
	InCircle
)

// Problem is one thing that is wrong with a graph.
type Problem struct {
	Kind     Kind
	Variable string
	Stages   []int
}

// Problems are what is wrong, in the order of the kinds, variables sorted. Of circles there is one
// at the most.
func (g *Graph) Problems() []Problem {
	var all []Problem
	switch n := len(g.Stages); {
	case n == 0:
		all = append(all, Problem{Kind: NoStages})
	case n > MaxStages:
		all = append(all, Problem{Kind: TooManyStages})
	}
	for _, v := range sorted(g.writers) {
		for _, again := range g.writers[v][1:] {
			all = append(all, Problem{TwoWriters, v, []int{g.writers[v][0], again}})
		}
	}
	for _, v := range sorted(g.writers) {
		for _, i := range g.writers[v] {
			if slices.Contains(g.readers[v], i) {
				all = append(all, Problem{ReadsItself, v, []int{i}})
			}
		}
	}
	for _, v := range sorted(g.writers) {
		writer := g.writers[v][0]
		for _, reader := range g.readers[v] {
			if g.Stages[reader].Pipeline < g.Stages[writer].Pipeline {
				all = append(all, Problem{ReadTooEarly, v, []int{reader, writer}})
			}
		}
	}
	if circle := g.Circle(); circle != nil {
		all = append(all, Problem{Kind: InCircle, Stages: circle})
	}
	return all
}

// Describe says in a sentence what is wrong.
func (g *Graph) Describe(p Problem) string {
	names := g.Names(p.Stages)
	switch p.Kind {
	case TwoWriters:
		return fmt.Sprintf("variable %s is written by two stages, %s and %s", p.Variable, names[0], names[1])
	case ReadsItself:
		return fmt.Sprintf("variable %s is both an input and an output of stage %s", p.Variable, names[0])
	case ReadTooEarly:
		return fmt.Sprintf("stage %s reads %s, which is only written later, by stage %s", names[0], p.Variable,
			names[1])
	case InCircle:
		return "stages wait for each other in a circle: " + strings.Join(append(names, names[0]), " waits for ")
	default:
		return fmt.Sprintf("%d stages: 1 to %d are possible", len(g.Stages), MaxStages)
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
