// Package openapi describes a component to its callers: as an OpenAPI document, and as the metadata
// of the Open Inference Protocol. Both come from the docstring of its inference function, which the
// worker reads (worker/docstring.py).
package openapi

// Variable is one input or output as the docstring describes it.
type Variable struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// of the platform, or the Open Inference Protocol; none when the docstring names none
	Types    []string `json:"types"`
	Optional bool     `json:"optional"`
}

// Description is what a docstring says.
type Description struct {
	Summary string     `json:"summary"`
	Inputs  []Variable `json:"inputs"`
	Outputs []Variable `json:"outputs"`
}
