// Package manifest reads the platform's manifests: YAML (or JSON) documents of the group
// unified-platform.cs.hse.ru, strictly, with the place of everything that is read.
//
// Every unknown field, repeated key and wrong type is a finding with file, line and column; reading
// goes on after it, so that all findings of all files come at once. Objects of other groups are
// carried through as they are.
package manifest
