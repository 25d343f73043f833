package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/printable"
)

func cancelCommand() *cobra.Command {
	o := &option.Module{}
	c := &cobra.Command{
		Use: "cancel RUN", Short: "End a run: what runs is stopped, nothing more starts", Args: exactArgs("RUN"),
		Example:           `  unip cancel train-7k2x9`,
		ValidArgsFunction: completeRun(o),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := o.Client()
			if err != nil {
				return err
			}
			run, err := m.Cancel(c.Context(), args[0])
			if err != nil {
				return asRefused(err)
			}
			if o.Output.JSON() {
				return output.WriteJSON(c.OutOrStdout(), run)
			}
			if run.Status.Done() {
				fmt.Fprintf(c.OutOrStdout(), "run %s is %s already\n", printable.Line(run.ID),
					printable.Line(string(run.Status)))
				return nil
			}
			fmt.Fprintf(c.OutOrStdout(), "run %s is being cancelled\n", printable.Line(run.ID))
			return nil
		},
	}
	o.AddFlags(c)
	return c
}
