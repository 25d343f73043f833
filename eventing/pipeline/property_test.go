package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/pipeline"
)

// chains is how many generated chains the properties are tried on.
const chains = 5000

// generate makes a chain of up to three pipelines over few names of variables, so that chains with
// circles, with two writers and without any problem are all frequent.
func generate(seed uint64) []pipeline.Pipeline {
	r := rand.New(rand.NewPCG(seed, 1))
	var all []pipeline.Pipeline
	variables := 3 + r.IntN(12)
	name := func() string { return fmt.Sprintf("v%d", r.IntN(variables)) }
	for p := range 1 + r.IntN(3) {
		spec := &runtimev1.PipelineSpec{}
		for v := range variables {
			x := runtimev1.Variable{Name: fmt.Sprintf("v%d", v)}
			if r.IntN(5) == 0 {
				x.MountFrom = &runtimev1.BoxPath{Box: "b", Path: "p"}
			}
			if r.IntN(6) > 0 {
				spec.Variables = append(spec.Variables, x)
			}
		}
		for s := range r.IntN(5) {
			st := runtimev1.Stage{Name: fmt.Sprintf("s%d", s)}
			for range r.IntN(4) {
				st.Inputs = append(st.Inputs, name())
			}
			for range r.IntN(3) {
				st.Outputs = append(st.Outputs, name())
			}
			spec.Stages = append(spec.Stages, st)
		}
		all = append(all, pipeline.Pipeline{Name: fmt.Sprintf("p%d", p), Spec: spec})
	}
	return all
}

// An order holds every stage once, after all that it needs, and leaves one out only behind a
// circle; what is wanted is read, never written, and comes from nowhere else.
func TestProperties(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for seed := range uint64(chains) {
		g := pipeline.Of(generate(seed)...)
		order, circle := g.Order(), g.Circle()
		done := map[int]bool{}
		for _, i := range order {
			if done[i] || slices.ContainsFunc(g.Needs(i), func(n int) bool { return !done[n] }) {
				t.Fatalf("seed %d: order %v: %d is there twice, or before what it needs: %v", seed, order, i,
					g.Needs(i))
			}
			done[i] = true
		}
		if (circle == nil) != (len(order) == len(g.Stages)) {
			t.Fatalf("seed %d: circle %v, order %v of %d stages", seed, circle, order, len(g.Stages))
		}
		for at, i := range circle {
			if next := circle[(at+1)%len(circle)]; !slices.Contains(g.Needs(i), next) {
				t.Fatalf("seed %d: circle %v: %d does not need %d", seed, circle, i, next)
			}
		}
		for _, v := range g.Wanted() {
			x, declared := g.Variable(v)
			if _, written := g.Writer(v); written || !declared || x.MountFrom != nil || len(g.Readers(v)) == 0 ||
				!slices.Contains(g.Inputs(), v) {
				t.Fatalf("seed %d: %s is not wanted", seed, v)
			}
		}
		for _, v := range g.Outputs() {
			if _, written := g.Writer(v); !written || slices.Contains(g.Inputs(), v) {
				t.Fatalf("seed %d: %s is no output", seed, v)
			}
		}
		for _, p := range g.Problems() {
			seen[fmt.Sprint(p.Kind)]++
			if g.Describe(p) == "" {
				t.Fatalf("seed %d: problem %+v has no words", seed, p)
			}
		}
		if len(g.Problems()) == 0 {
			seen["none"]++
		}
	}
	for _, kind := range []pipeline.Kind{
		pipeline.NoStages, pipeline.TwoWriters, pipeline.ReadsItself, pipeline.ReadTooEarly, pipeline.InCircle,
	} {
		if seen[fmt.Sprint(kind)] < 20 {
			t.Errorf("problem %d came %d times only in %d chains: %v", kind, seen[fmt.Sprint(kind)], chains, seen)
		}
	}
	if seen["none"] < 200 {
		t.Errorf("%d of %d chains without a problem", seen["none"], chains)
	}
}
