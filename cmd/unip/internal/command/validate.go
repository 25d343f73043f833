package command

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/translate/manifest"
)

func validateCommand(build release.Build) *cobra.Command {
	t := option.Translation{Build: build}
	var format option.Format
	var dir string
	c := &cobra.Command{
		Use:     "validate -f FILE|FOLDER|-",
		Aliases: []string{"lint"},
		Short:   "Check manifests without a cluster",
		Long: `Validate reads the manifests of one module and says all that is wrong with them, at once: what YAML
cannot read, unknown fields, wrong types, references to what does not exist, and what Knative would
refuse. Each object of another group that would be carried through is named. With --dir the files of
the functions are looked at as well: an import of the platform's own server library, which nothing
installs here, is a warning that says what to change. It exits with 1 when there is an error.`,
		Example: `  unip validate -f manifests/
  unip validate -f manifests/ --dir .
  unip validate -f manifests/ -o json | jq '.[] | select(.severity == "error")'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := format.Check(); err != nil {
				return err
			}
			found, err := t.Validate(c, format.JSON(), dir)
			if found == nil && err != nil {
				return err
			}
			if format.JSON() {
				return errors.Join(output.WriteJSON(c.OutOrStdout(), append(manifest.Diagnostics{}, found...)), err)
			}
			return err
		},
	}
	t.AddFlags(c)
	c.Flags().StringVar(&dir, "dir", "", "the folder of the functions' code, to be looked at (default: none)")
	cobra.CheckErr(c.MarkFlagDirname("dir"))
	format.AddTextOrJSON(c)
	return c
}
