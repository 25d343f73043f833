package command

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/printable"
)

func pipelinesCommand() *cobra.Command {
	o := &option.Module{}
	c := &cobra.Command{
		Use: "pipelines", Short: "List the module's pipelines", Args: noArgs,
		Long: `Pipelines lists the module's pipelines: what a run can be given, what its stages write, and which
pipeline follows. 'unip run' takes the path that a pipeline is published at.`,
		Example: `  unip pipelines
  unip pipelines -o json | jq -r '.pipelines[].name'`,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := o.Client()
			if err != nil {
				return err
			}
			all, err := m.Pipelines(c.Context())
			if err != nil {
				return asRefused(err)
			}
			if o.Output.JSON() {
				return output.WriteJSON(c.OutOrStdout(), map[string]any{"pipelines": all})
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "PIPELINE\tINPUTS\tOUTPUTS\tSTAGES\tTHEN")
			for _, p := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable.Line(p.Name), words(p.Inputs), words(p.Outputs),
					words(p.Stages), printable.Line(p.ContinueWith))
			}
			return w.Flush()
		},
	}
	o.AddFlags(c)
	return c
}

// words are others' words in one cell of a table.
func words(all []string) string { return printable.Line(strings.Join(all, ", ")) }
