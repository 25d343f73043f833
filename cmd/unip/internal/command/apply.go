package command

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/translate/module"
)

func applyCommand(build release.Build) *cobra.Command {
	var d deployment
	d.Build = build
	var wait, makeImages bool
	var timeout time.Duration
	var images option.Images
	c := &cobra.Command{
		Use:   "apply -f FILE|FOLDER|-",
		Short: "Bring a module to the cluster and wait until it is ready",
		Long: `Apply translates the manifests of one module and writes the objects by server-side apply with the
field manager "unip". It removes what unip made before and the module no longer has. Then it waits
until every box, Service, Broker, Trigger and Pipeline is ready, and shows the reasons of those that
are not yet. Nothing is written when the manifests hold an error. What goes is removed one by one;
DataBoxes only with --prune-boxes; a ConfigMap that a Revision still refers to stays until that has
gone, and users whom 'unip users' has added stay in their Secret, whatever the manifests have.

The installation on the cluster says which images unip itself has, and its unip.yaml; so apply works
from any folder. The tags of your images become digests, as the registries have them now: what was
pushed again under an old tag runs. At the end apply says where the module answers, and what to try.

With --build the images that have a Dockerfile in this repository are made and pushed first, as by
'unip build', and the module runs with them, whatever tags the manifests have. Images of others have
to stand in the manifests with their digests then.`,
		Example: `  unip apply -f manifests/
  unip apply -f manifests/ --build
  unip diff -f manifests/ || unip apply -f manifests/ --timeout 10m`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := d.format.Check(); err != nil {
				return err
			}
			if makeImages {
				images.Push = true
				d.MakeImages = func(c *cobra.Command, m *module.Module) (map[string]string, error) {
					made, err := images.Make(c, m, nil)
					return option.Names(made), err
				}
			}
			t, err := d.open(c, true)
			if err != nil {
				return err
			}
			r := &results{c: c, json: d.format.JSON()}
			return r.finish(d.apply(c, t, r, wait, timeout))
		},
	}
	d.addFlags(c)
	d.addChangeFlags(c)
	c.Flags().BoolVar(&makeImages, "build", false, "make the module's images first, from their Dockerfiles")
	images.AddFlags(c)
	c.Flags().BoolVar(&wait, "wait", true, "wait until everything is ready")
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait")
	return c
}

func (d *deployment) apply(c *cobra.Command, t *target, r *results, wait bool, timeout time.Duration) error {
	ctx := c.Context()
	if err := t.ApplyAll(ctx, t.objects, d.forceConflicts, r.add); err != nil {
		return err
	}
	surplus, err := d.surplus(ctx, t)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, o := range surplus {
		if !cluster.HasUsers(o) {
			continue
		}
		kept, err := t.Release(ctx, o)
		if err != nil {
			return err
		}
		r.add(kept)
	}
	surplus = slices.DeleteFunc(surplus, cluster.HasUsers)
	if err := t.Delete(ctx, surplus, false, r.add); err != nil {
		return err
	}
	if wait {
		if err := awaitReady(ctx, c, t); err != nil {
			return err
		}
	}
	address, err := t.answers(ctx)
	if err != nil || address == "" {
		return err
	}
	if r.json {
		r.answers(address)
		return nil
	}
	return showAnswers(c.OutOrStdout(), t.module, address)
}

// awaitReady waits for all objects and tells of each.
func awaitReady(ctx context.Context, c *cobra.Command, t *target) error {
	began := time.Now()
	return t.AwaitReady(ctx, t.objects, func(object, news string) {
		fmt.Fprintf(c.ErrOrStderr(), "%6.1f s  %s: %s\n", time.Since(began).Seconds(), printable.Line(object),
			printable.Line(news))
	})
}
