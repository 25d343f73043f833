package command

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/record"
)

func runsCommand() *cobra.Command {
	o := &option.Module{}
	var pipeline, status string
	var limit int
	var follow bool
	c := &cobra.Command{
		Use:   "runs [RUN]",
		Short: "List your runs, or show one with its stages",
		Example: `  unip runs --pipeline train --status Failed
  unip runs train-7k2x9 -o json | jq -r .status`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exit.Errorf(exit.UsageWrong, "wanted: nothing, or one RUN")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			m, err := o.Client()
			if err != nil {
				return err
			}
			if len(args) == 1 && follow {
				return watchRun(c, &o.Output, m, args[0])
			}
			if len(args) == 1 {
				run, err := m.Run(c.Context(), args[0])
				if err != nil {
					return asRefused(err)
				}
				if o.Output.JSON() {
					return output.WriteJSON(c.OutOrStdout(), run)
				}
				_, err = fmt.Fprint(c.OutOrStdout(), output.RunTree(run, time.Now()))
				return err
			}
			runs, _, err := m.Runs(c.Context(), pipeline, status, limit, "")
			if err != nil {
				return asRefused(err)
			}
			if o.Output.JSON() {
				return output.WriteJSON(c.OutOrStdout(), map[string]any{"runs": runs})
			}
			return writeRunTable(c.OutOrStdout(), runs)
		},
	}
	o.AddFlags(c)
	c.Flags().StringVar(&pipeline, "pipeline", "", "only runs of this pipeline")
	c.Flags().StringVar(&status, "status", "",
		"only runs in this state: Pending, Running, Succeeded, Failed, Cancelled")
	c.Flags().IntVar(&limit, "limit", 50, "how many")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "show the run until it ends; exit code 1 when it fails")
	return c
}

func writeRunTable(to io.Writer, runs []record.Run) error {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tPIPELINE\tSTATUS\tSTARTED\tTOOK\tMESSAGE")
	for _, x := range runs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n",
			printable.Line(x.ID), printable.Line(x.Pipeline), printable.Line(string(x.Status)),
			output.LocalTime(x.CreatedAt),
			output.Duration(x.StartedAt, x.EndedAt, time.Now()), printable.Line(x.Message))
	}
	return w.Flush()
}
