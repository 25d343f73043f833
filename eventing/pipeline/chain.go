package pipeline

import (
	"slices"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// Pipeline is a pipeline by its name.
type Pipeline struct {
	Name string
	Spec *runtimev1.PipelineSpec
}

// End says how a chain ends.
type End int

const (
	// Whole is a chain whose last pipeline continues with none.
	Whole End = iota
	// Missing is a chain whose last pipeline continues with one that is not there.
	Missing
	// Loops is a chain whose last pipeline continues with one of the chain.
	Loops
	// TooLong is a chain whose last pipeline is the MaxChain-th and continues with another one.
	TooLong
)

// Follow is the chain that begins with a pipeline, MaxChain at the most. Next is the name that the
// last one continues with, "" for a whole chain. find gives a pipeline by its name; its error ends
// the search and is returned as it is.
func Follow(first Pipeline, find func(name string) (Pipeline, bool, error)) (chain []Pipeline, end End, err error) {
	chain = []Pipeline{first}
	for {
		next := chain[len(chain)-1].Spec.ContinueWith
		switch {
		case next == "":
			return chain, Whole, nil
		case slices.ContainsFunc(chain, func(p Pipeline) bool { return p.Name == next }):
			return chain, Loops, nil
		case len(chain) == MaxChain:
			return chain, TooLong, nil
		}
		p, found, err := find(next)
		if err != nil {
			return chain, Missing, err
		}
		if !found {
			return chain, Missing, nil
		}
		chain = append(chain, p)
	}
}
