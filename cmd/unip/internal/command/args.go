package command

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
)

// commandArgs refuses an argument where a command is wanted, and proposes one like it.
func commandArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	// letters that may be wrong; cobra sets it only where it looks for a command itself
	c.SuggestionsMinimumDistance = 2
	if s := c.SuggestionsFor(args[0]); len(s) > 0 {
		hint = "; did you mean \"" + s[0] + "\"?"
	}
	return exit.Errorf(exit.UsageWrong, "unknown command %q%s", args[0], hint)
}

// noArgs refuses arguments.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if c.Flags().Lookup("filename") != nil {
		hint = "; files are given with -f"
	}
	return exit.Errorf(exit.UsageWrong, "unexpected argument %q%s", args[0], hint)
}

// exactArgs wants one argument for each name.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return exit.Errorf(exit.UsageWrong, "wanted: %s", strings.Join(names, " "))
		}
		return nil
	}
}
