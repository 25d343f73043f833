package module

import (
	"maps"
	"slices"

	"github.com/unip-knative/unip/eventing/databox"
)

// checkFolder checks a path of a box that may be its root.
func checkFolder(p string) error {
	if p == "" {
		return nil
	}
	return databox.CheckObjectPath(p)
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
