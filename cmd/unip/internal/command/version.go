package command

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
)

// knativeVersion is that of the API packages in go.mod, whose rules generated objects are checked
// by.
const knativeVersion = "v0.50.0"

// versionLine says in a line which unip it is.
func versionLine(build release.Build) string {
	return fmt.Sprintf("unip %s (commit %s, %s, Knative API %s)", build.Version, build.Commit, runtime.Version(),
		knativeVersion)
}

func versionCommand(build release.Build) *cobra.Command {
	var format option.Format
	c := &cobra.Command{
		Use: "version", Short: "Say which unip this is", Args: noArgs,
		Example: `  unip version
  unip version -o json | jq -r .knative`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := format.Check(); err != nil {
				return err
			}
			v := struct {
				Version string `json:"version"`
				Commit  string `json:"commit"`
				Go      string `json:"go"`
				Knative string `json:"knative"`
			}{build.Version, build.Commit, runtime.Version(), knativeVersion}
			if format.JSON() {
				return output.WriteJSON(c.OutOrStdout(), v)
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), versionLine(build))
			return err
		},
	}
	format.AddTextOrJSON(c)
	return c
}
