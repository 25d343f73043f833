package command_test

import (
	"slices"
	"testing"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/command"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
)

// The help shows every command under a heading, and no heading without commands.
func TestEveryCommandIsInAGroup(t *testing.T) {
	t.Parallel()
	root := command.New(release.Build{})
	root.InitDefaultHelpCmd()
	used := map[string]bool{}
	for _, c := range root.Commands() {
		used[c.GroupID] = true
		if !slices.ContainsFunc(root.Groups(), func(g *cobra.Group) bool { return g.ID == c.GroupID }) {
			t.Errorf("%s is in group %q", c.Name(), c.GroupID)
		}
	}
	for _, g := range root.Groups() {
		if !used[g.ID] {
			t.Errorf("group %q has no command", g.ID)
		}
	}
}
