// Package manifest reads the platform's manifests: YAML (or JSON) documents of the group unified-platform.cs.hse.ru, strictly, with the place of everything that is read.
//
// Every unknown field, repeated key and wrong type is a finding with file, line and column; reading goes on after it, so that all findings of all files come at once. Objects of other groups are
// carried through as they are.
//
// The Go types of the kinds are the description of the format: their doc comments say what a field means, and their tags how strictly it is read:
//
//	yaml:"name"          the field's name
//	required:"true"      an object without it is an error
//	noeffect:"reason"    accepted, with a note that says why it has no effect
//	refused:"reason"     known, and an error that says why it is not possible
//	open:"true"          (on At) unknown fields of this mapping are notes: the platform does not say what there may be
//
// Limits of one document: 64 levels, 1000 aliases, a million values after aliases are followed. What is larger, or refers to itself, is an error.
package manifest
