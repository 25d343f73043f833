package command

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/cmd/unip/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/printable"
)

// examineFor bounds all checks together.
const examineFor = time.Minute

func doctorCommand() *cobra.Command {
	var target option.Cluster
	var format option.Format
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether the cluster has what modules need",
		Long: `Doctor looks at the cluster of the kubeconfig: Knative Serving and Eventing, the Broker class,
unip's own controller and configuration, the S3 server, its keys, and the state of all boxes. For
what is wrong it says the cure, and then exits with 1. It changes nothing.`,
		Example: `  unip doctor
  unip doctor -o json | jq '.[] | select(.ok | not)'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := format.Check(); err != nil {
				return err
			}
			k, err := target.Connect(c)
			if err != nil {
				return err
			}
			return examine(c, k, format.JSON())
		},
	}
	target.AddFlags(c)
	format.AddTextOrJSON(c)
	return c
}

// examine shows each finding as it comes, or all of them as JSON at the end.
func examine(c *cobra.Command, k *cluster.Cluster, json bool) error {
	ctx, cancel := context.WithTimeout(c.Context(), examineFor)
	defer cancel()
	all, healthy := []cluster.Finding{}, true
	k.Examine(ctx, func(f cluster.Finding) {
		all, healthy = append(all, f), healthy && f.OK
		if !json {
			showFinding(c.OutOrStdout(), f)
		}
	})
	if json {
		if err := output.WriteJSON(c.OutOrStdout(), all); err != nil {
			return err
		}
	}
	if !healthy {
		return exit.Shown(exit.Unhealthy, "the cluster lacks something")
	}
	return nil
}

func showFinding(w io.Writer, f cluster.Finding) {
	mark := "ok  "
	if !f.OK {
		mark = "FAIL"
	}
	fmt.Fprintf(w, "%s  %s: %s\n", mark, f.Check, printable.Line(f.Message))
	if f.Cure != "" {
		fmt.Fprintf(w, "      cure: %s\n", printable.Line(f.Cure))
	}
}
