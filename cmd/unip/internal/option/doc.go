// Package option holds the options that several commands share, each group of them as a small
// struct with its flags and what is made of them: which manifests, how they are translated, which
// cluster, which module and who calls it, and the form of the output. Those of unip-dev, too, are in
// cmd/internal/option.
package option

import "github.com/unip-knative/unip/cmd/internal/option"

// What both programs have.
type (
	Manifests = option.Manifests
	Format    = option.Format
)

// Complete gives the shells the values of a flag.
var Complete = option.Complete
