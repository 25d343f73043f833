package command

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
)

func deleteCommand(build release.Build) *cobra.Command {
	var d deployment
	d.Build = build
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "delete -f FILE|FOLDER|-",
		Short: "Remove a module from the cluster",
		Long: `Delete removes the objects of one module, one by one and what calls others first, and waits for the
end of each; the Namespace comes last, and with it everything else that lies in it (not with
--no-namespace). What becomes of the data of its boxes is the installation's policy. What is gone
already is no error.`,
		Example: `  unip delete -f manifests/`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := d.format.Check(); err != nil {
				return err
			}
			t, err := d.open(c, false)
			if err != nil {
				return err
			}
			r := &results{c: c, json: d.format.JSON()}
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			return r.finish(t.deleteAll(ctx, r.add))
		},
	}
	d.addFlags(c)
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait for the end of everything")
	return c
}

// deleteAll removes what unip made in the namespace, then what else the module has, in the opposite
// order of its application.
func (t *target) deleteAll(ctx context.Context, tell func(cluster.Result)) error {
	if t.namespace != "" {
		made, err := t.Surplus(ctx, t.namespace, nil, true)
		if err != nil {
			return err
		}
		if err := t.Delete(ctx, made, true, tell); err != nil {
			return err
		}
	}
	left := make([]*cluster.Object, 0, len(t.objects))
	for i := len(t.objects) - 1; i >= 0; i-- {
		left = append(left, t.objects[i])
	}
	return t.Delete(ctx, left, true, tell)
}
