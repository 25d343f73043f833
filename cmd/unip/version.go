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
		Example: `  unip version
  unip version -o json | jq -r .knative`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := outputs(output); err != nil {
				return err
			}
			v := struct {
				Version string `json:"version"`
				Commit  string `json:"commit"`
				Go      string `json:"go"`
				Knative string `json:"knative"`
			}{version, commit, runtime.Version(), knativeVersion}
			if output == "json" {
				return writeJSON(c.OutOrStdout(), v)
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "unip %s (commit %s, %s, Knative API %s)\n", v.Version, v.Commit, v.Go, v.Knative)
			return err
		},
	}
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	complete(c, "output", "text", "json")
	return c
}
