package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// knativeVersion is that of the API packages in go.mod, whose rules generated objects are checked by.
const knativeVersion = "v0.50.0"

func versionCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use: "version", Short: "Say which unip this is", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v := struct {
				Version string `json:"version"`
				Commit  string `json:"commit"`
				Go      string `json:"go"`
				Knative string `json:"knative"`
			}{version, commit, runtime.Version(), knativeVersion}
			switch output {
			case "json":
				return writeJSON(c.OutOrStdout(), v)
			case "text":
				fmt.Fprintf(c.OutOrStdout(), "unip %s (commit %s, %s, Knative API %s)\n", v.Version, v.Commit, v.Go, v.Knative)
				return nil
			default:
				return &usageError{fmt.Errorf("-o: %q is neither text nor json", output)}
			}
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	complete(c, "output", "text", "json")
	return c
}
