// Package option holds the options that several commands share, each group of them as a small
// struct with its flags and what is made of them: which manifests, how they are translated, which
// cluster, which module and who calls it, and the form of the output.
package option

import "github.com/spf13/cobra"

// Complete gives the shells the values of a flag.
func Complete(c *cobra.Command, flag string, values ...string) {
	// the flag is there
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}
