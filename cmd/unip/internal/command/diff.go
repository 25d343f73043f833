package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/eventing/printable"
)

func diffCommand(build release.Build) *cobra.Command {
	var d deployment
	d.Build = build
	c := &cobra.Command{
		Use:   "diff -f FILE|FOLDER|-",
		Short: "Show what apply would change on the cluster",
		Long: `Diff translates the manifests of one module and asks the API server, by a dry run of the server-side
apply, what would change; what apply would remove is shown as removed. Values of Secrets are masked.
It exits with 0 when nothing would change, with 1 when something would, and with more when it
failed.`,
		Example: `  unip diff -f manifests/
  unip diff -f manifests/ -o json | jq -r '.[].object'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return d.diff(c) },
	}
	d.addFlags(c)
	d.addChangeFlags(c)
	return c
}

func (d *deployment) diff(c *cobra.Command) error {
	if err := d.format.Check(); err != nil {
		return err
	}
	differences, err := d.differences(c)
	if reason, _ := exit.Of(err); reason == exit.UsageWrong {
		return err
	}
	if err != nil { // whatever the reason: code 1 says that something differs
		return exit.Because(exit.Failed, fmt.Errorf("no comparison: %w", err))
	}
	if d.format.JSON() {
		err = output.WriteJSON(c.OutOrStdout(), append([]cluster.Difference{}, differences...))
	} else {
		for _, x := range differences {
			fmt.Fprint(c.OutOrStdout(), printable.Text(x.Diff))
		}
	}
	if err == nil && len(differences) > 0 {
		err = exit.Shown(exit.Differs, "the cluster differs from the module")
	}
	return err
}

func (d *deployment) differences(c *cobra.Command) ([]cluster.Difference, error) {
	t, err := d.open(c, true)
	if err != nil {
		return nil, err
	}
	surplus, err := d.surplus(c.Context(), t)
	if err != nil {
		return nil, err
	}
	return t.Diff(c.Context(), t.objects, surplus, d.forceConflicts)
}
