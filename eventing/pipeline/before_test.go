package pipeline_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/pipeline"
)

type beforeStage struct {
	name string
	spec runtimev1.Stage
}

// before is what the controller made of a chain until it asked this package.
func before(chain []pipeline.Pipeline) (order []string, needs map[string][]string, from map[string]bool, err error) {
	writers, variables := map[string]string{}, map[string]runtimev1.Variable{}
	var stages []beforeStage
	for _, p := range chain {
		for _, v := range p.Spec.Variables {
			if b, ok := variables[v.Name]; !ok || b.MountFrom == nil {
				variables[v.Name] = v
			}
		}
		for _, s := range p.Spec.Stages {
			name := s.Name
			if len(chain) > 1 {
				name = p.Name + "/" + s.Name
			}
			stages = append(stages, beforeStage{name, s})
			for _, o := range s.Outputs {
				if _, twice := writers[o]; twice {
					return nil, nil, nil, fmt.Errorf("variable %s is written by two stages", o)
				}
				writers[o] = name
			}
		}
	}
	if len(stages) == 0 || len(stages) > 64 {
		return nil, nil, nil, errors.New("stages")
	}
	needs, from = map[string][]string{}, map[string]bool{}
	for name, v := range variables {
		from[name] = v.MountFrom != nil
	}
	for _, s := range stages {
		for _, v := range s.spec.Inputs {
			if w := writers[v]; w != "" && !slices.Contains(needs[s.name], w) {
				needs[s.name] = append(needs[s.name], w)
			}
		}
		slices.Sort(needs[s.name])
	}
	done := map[string]bool{}
	for left := slices.Clone(stages); len(left) > 0; {
		i := slices.IndexFunc(left, func(s beforeStage) bool {
			return !slices.ContainsFunc(needs[s.name], func(n string) bool { return !done[n] })
		})
		if i < 0 {
			return nil, nil, nil, errors.New("circle")
		}
		done[left[i].name] = true
		order = append(order, left[i].name)
		left = slices.Delete(left, i, i+1)
	}
	return order, needs, from, nil
}

// wantedBefore is what translate said that a run must be given, until it asked this package.
func wantedBefore(chain []pipeline.Pipeline) (wanted []string) {
	declared, writers, readers := map[string]runtimev1.Variable{}, map[string]string{}, map[string]string{}
	for _, p := range chain {
		for _, v := range p.Spec.Variables {
			if before, ok := declared[v.Name]; !ok || (before.MountFrom == nil && v.MountFrom != nil) {
				declared[v.Name] = v
			}
		}
		for _, s := range p.Spec.Stages {
			for _, v := range s.Inputs {
				readers[v] = s.Name
			}
			for _, v := range s.Outputs {
				writers[v] = s.Name
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(readers)) {
		if v, ok := declared[name]; ok && writers[name] == "" && v.MountFrom == nil {
			wanted = append(wanted, name)
		}
	}
	return wanted
}

// chainBefore is translate's chain of then; whole is false when one is not there, or comes again.
func chainBefore(all map[string]pipeline.Pipeline, name string) (chain []string, whole bool) {
	for len(chain) < 16 {
		chain = append(chain, name)
		name = all[name].Spec.ContinueWith
		if name == "" {
			return chain, true
		}
		if _, ok := all[name]; !ok || slices.Contains(chain, name) {
			return chain, false
		}
	}
	return chain, false
}

// Modules of up to 24 pipelines that continue each other as it comes: to an end, in circles, into
// nothing.
func TestChainsLikeBefore(t *testing.T) {
	t.Parallel()
	seen := map[pipeline.End]int{}
	for seed := range uint64(chains) {
		r := rand.New(rand.NewPCG(seed, 2))
		n := 1 + r.IntN(24)
		all := map[string]pipeline.Pipeline{}
		for i := range n {
			next := fmt.Sprintf("p%d", i+1) // of the last one there is none
			switch r.IntN(20) {
			case 0:
				next = ""
			case 1:
				next = fmt.Sprintf("p%d", r.IntN(n+1))
			}
			all[fmt.Sprintf("p%d", i)] = pipeline.Pipeline{
				Name: fmt.Sprintf("p%d", i), Spec: &runtimev1.PipelineSpec{ContinueWith: next},
			}
		}
		chain, end, err := pipeline.Follow(all["p0"], func(name string) (pipeline.Pipeline, bool, error) {
			p, ok := all[name]
			return p, ok, nil
		})
		seen[end]++
		var names []string
		for _, p := range chain {
			names = append(names, p.Name)
		}
		before, whole := chainBefore(all, "p0")
		if err != nil || !slices.Equal(names, before) || whole != (end == pipeline.Whole) {
			t.Fatalf("seed %d: %v, end %d, %v; before %v, whole %t", seed, names, end, err, before, whole)
		}
	}
	for _, end := range []pipeline.End{pipeline.Whole, pipeline.Missing, pipeline.Loops, pipeline.TooLong} {
		if seen[end] < 100 {
			t.Errorf("end %d came %d times only in %d chains: %v", end, seen[end], chains, seen)
		}
	}
}

// unique is a chain in which no stage names a variable twice, as the CRD has it.
func unique(chain []pipeline.Pipeline) []pipeline.Pipeline {
	for _, p := range chain {
		for i := range p.Spec.Stages {
			s := &p.Spec.Stages[i]
			slices.Sort(s.Inputs)
			slices.Sort(s.Outputs)
			s.Inputs, s.Outputs = slices.Compact(s.Inputs), slices.Compact(s.Outputs)
		}
	}
	return chain
}

func TestLikeBefore(t *testing.T) {
	t.Parallel()
	good := 0
	for seed := range uint64(chains) {
		chain := unique(generate(seed))
		order, needs, from, err := before(chain)
		g := pipeline.Of(chain...)
		if got, want := g.Wanted(), wantedBefore(chain); !slices.Equal(got, want) {
			t.Fatalf("seed %d: wanted %v, before %v", seed, got, want)
		}
		problems := slices.DeleteFunc(g.Problems(),
			func(p pipeline.Problem) bool { return p.Kind == pipeline.ReadTooEarly })
		if (err != nil) != (len(problems) > 0) {
			t.Fatalf("seed %d: before %v, now %+v", seed, err, problems)
		}
		if err != nil {
			continue
		}
		good++
		if got := g.Names(g.Order()); !slices.Equal(got, order) {
			t.Fatalf("seed %d: order %v, before %v", seed, got, order)
		}
		for i, s := range g.Stages {
			n := g.Names(g.Needs(i))
			slices.Sort(n)
			if !slices.Equal(n, needs[s.Name]) {
				t.Fatalf("seed %d: %s needs %v, before %v", seed, s.Name, n, needs[s.Name])
			}
		}
		now := map[string]bool{}
		for _, name := range g.Variables() {
			v, _ := g.Variable(name)
			now[name] = v.MountFrom != nil
		}
		if !reflect.DeepEqual(now, from) {
			t.Fatalf("seed %d: sources %v, before %v", seed, now, from)
		}
	}
	t.Logf("%d of %d chains without a problem", good, chains)
}
