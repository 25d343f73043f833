// Package option holds the options that commands of both programs share, unip and unip-dev: which
// manifests, and the form of the output.
package option

import "github.com/spf13/cobra"

// Complete gives the shells the values of a flag.
func Complete(c *cobra.Command, flag string, values ...string) {
	fixed := cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	cobra.CheckErr(c.RegisterFlagCompletionFunc(flag, fixed))
}
