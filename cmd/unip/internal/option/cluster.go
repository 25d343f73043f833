package option

import (
	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
)

// Cluster is which cluster a command talks to.
type Cluster struct{ Kubeconfig, Context string }

// AddFlags adds --kubeconfig and --context.
func (o *Cluster) AddFlags(c *cobra.Command) {
	c.Flags().StringVar(&o.Kubeconfig, "kubeconfig", "", "the kubeconfig file (default: kubectl's)")
	c.Flags().StringVar(&o.Context, "context", "", "the kubeconfig's context (default: its current one)")
}

// Connect opens the cluster. Its warnings go to the command's standard error.
func (o *Cluster) Connect(c *cobra.Command) (*cluster.Cluster, error) {
	return cluster.Connect(o.Kubeconfig, o.Context, c.ErrOrStderr())
}
