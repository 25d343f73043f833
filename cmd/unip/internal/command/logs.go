package command

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/printable"
)

func logsCommand() *cobra.Command {
	o := &option.Module{}
	var stage string
	var follow bool
	c := &cobra.Command{
		Use: "logs RUN", Short: "Show what the stages of a run have written", Args: exactArgs("RUN"),
		Long: `Logs shows what the stages of a run have written. On a terminal characters that would steer it are
shown as \x1b and the like; into a pipe or a file the bytes go as they are.`,
		Example: `  unip logs train-7k2x9 --stage report
  unip logs train-7k2x9 -f`,
		RunE: func(c *cobra.Command, args []string) error {
			m, err := o.Client()
			if err != nil {
				return err
			}
			body, err := m.Logs(c.Context(), args[0], stage, follow)
			if err != nil {
				return asRefused(err)
			}
			defer body.Close()
			out := c.OutOrStdout()
			if !output.IsTerminal(out) {
				_, err = io.Copy(out, body)
				return err
			}
			shown := printable.NewWriter(out)
			_, err = io.Copy(shown, body)
			return errors.Join(err, shown.Flush())
		},
	}
	o.AddFlags(c)
	c.Flags().StringVar(&stage, "stage", "", "only this stage")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the stages have ended, at most 9 minutes")
	return c
}
