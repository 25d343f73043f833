package command

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/printable"
)

func runCommand() *cobra.Command {
	o := &option.Module{}
	var inputs, outputs []string
	var key string
	var wait bool
	c := &cobra.Command{
		Use:   "run PATH",
		Short: "Start a run of the pipeline that is published at PATH",
		Example: `  unip run train --input table=userdata/incoming/digits.csv --wait
  unip run train --input table=userdata/incoming/digits.csv --output-to model=userdata/models/
  unip run train --input table=userdata/incoming/digits.csv --idempotency-key monday`,
		Args:              exactArgs("PATH"),
		ValidArgsFunction: completePipeline(o), // where most are published
		RunE: func(c *cobra.Command, args []string) error {
			m, err := o.Client()
			if err != nil {
				return err
			}
			in, err := parsePlaces("--input", inputs)
			if err != nil {
				return err
			}
			out, err := parsePlaces("--output-to", outputs)
			if err != nil {
				return err
			}
			run, err := m.Start(c.Context(), args[0], in, out, key)
			if err != nil {
				return asRefused(err)
			}
			if wait {
				return watchRun(c, &o.Output, m, run.ID, true)
			}
			if o.Output.JSON() {
				return output.WriteJSON(c.OutOrStdout(), run)
			}
			fmt.Fprintln(c.OutOrStdout(), printable.Line(run.ID))
			return nil
		},
	}
	o.AddFlags(c)
	c.Flags().StringArrayVar(&inputs, "input", nil,
		"NAME=<box>/<group>/<file> or a folder, with a / at its end; several times")
	c.Flags().StringArrayVar(&outputs, "output-to", nil, "NAME=<box>/<group>/; several times")
	c.Flags().StringVar(&key, "idempotency-key", "", "the same key gives the same run")
	c.Flags().BoolVar(&wait, "wait", false, "wait for the end and show the stages; exit code 1 when the run fails")
	return c
}

// parsePlaces reads the values NAME=PATH of a flag.
func parsePlaces(flag string, values []string) (map[string]string, error) {
	places := map[string]string{}
	for _, s := range values {
		name, path, ok := strings.Cut(s, "=")
		if _, twice := places[name]; !ok || name == "" || path == "" || twice {
			return nil, exit.Errorf(exit.UsageWrong, "%s %q: NAME=PATH is wanted, each name once", flag, s)
		}
		places[name] = path
	}
	return places, nil
}
