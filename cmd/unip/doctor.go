package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/eventing/printable"
)

// examineFor bounds all checks together.
const examineFor = time.Minute

func doctorCommand() *cobra.Command {
	var kubeconfig, kubeContext, output string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether the cluster has what modules need",
		Long: `Doctor looks at the cluster of the kubeconfig: Knative Serving and Eventing, the Broker class, unip's own controller and configuration, the S3 server, its keys, and the state of all boxes. For what is
wrong it says the cure, and then exits with 1. It changes nothing.`,
		Example: `  unip doctor
  unip doctor -o json | jq '.[] | select(.ok | not)'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := outputs(output); err != nil {
				return err
			}
			k, err := cluster.Connect(kubeconfig, kubeContext, c.ErrOrStderr())
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), examineFor)
			defer cancel()
			all, failed := []cluster.Finding{}, 0
			k.Examine(ctx, func(f cluster.Finding) {
				all = append(all, f)
				mark := "ok  "
				if !f.OK {
					mark, failed = "FAIL", failed+1
				}
				if output == "json" {
					return
				}
				fmt.Fprintf(c.OutOrStdout(), "%s  %s: %s\n", mark, f.Check, printable.Line(f.Message))
				if f.Cure != "" {
					fmt.Fprintf(c.OutOrStdout(), "      cure: %s\n", printable.Line(f.Cure))
				}
			})
			if output == "json" {
				if err := writeJSON(c.OutOrStdout(), all); err != nil {
					return err
				}
			}
			if failed > 0 {
				return &inputError{}
			}
			return nil
		},
	}
	clusterFlags(c, &kubeconfig, &kubeContext)
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	complete(c, "output", "text", "json")
	return c
}
