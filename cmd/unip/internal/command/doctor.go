package command

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/cmd/unip/internal/image"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/functions/inference/worker"
	"github.com/unip-knative/unip/translate/installation"
)

// examineFor bounds all checks together.
const examineFor = time.Minute

func doctorCommand(build release.Build) *cobra.Command {
	var target option.Cluster
	var format option.Format
	var reference string
	var s3 s3Check
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look whether the cluster has what modules need, or an image what it should not",
		Long: `Doctor looks at the cluster of the kubeconfig: Knative Serving and Eventing, the Broker and what it
keeps, unip's own controller and configuration, the S3 server, its keys, and the state of all boxes.
For what is wrong it says the cure, and then exits with 1. It changes nothing.

With --image it looks at an image in its registry instead, as 'unip build' does, for each platform
that it has: what need not be in it is told with its size and the cure, and the exit code is 0.

With --s3 it tries what unip needs of the installation's S3 server, and what strangers try there: a Job
in unip-system runs the controller's image with the installation's keys, for about half a minute, and
is deleted at the end. What follows from a need that is not met is told. The exit code is 1 where unip
is not to be used with the server; where only something falls back it is 0.`,
		Example: `  unip doctor
  unip doctor --image registry.example/ann/leaves:3f2a91c
  unip doctor --s3
  unip doctor -o json | jq '.[] | select(.ok | not)'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := format.Check(); err != nil {
				return err
			}
			if err := s3.checkUsage(c, reference); err != nil {
				return err
			}
			if reference != "" {
				return examineImage(c, reference, format.JSON())
			}
			k, err := target.Connect(c)
			if err != nil {
				return err
			}
			if s3.wanted {
				return s3.run(c, k, format.JSON())
			}
			own := installation.Release{Version: build.Version, Inference: build.Inference, Gateway: build.Gateway,
				Worker: worker.Files()}
			return examine(c, k, own, format.JSON())
		},
	}
	target.AddFlags(c)
	c.Flags().StringVar(&reference, "image", "", "look at this image, not at the cluster")
	s3.addFlags(c)
	format.AddTextOrJSON(c)
	return c
}

// examineImage reads the layers of an image in its registry, of each platform that it is for.
func examineImage(c *cobra.Command, reference string, json bool) error {
	images, err := image.Pull(c.Context(), reference)
	if err != nil {
		return err
	}
	type report struct {
		Platform string `json:"platform"`
		image.Report
	}
	var all []report
	for _, img := range images {
		name := fmt.Sprintf("%s (%s)", reference, img.Platform)
		fmt.Fprintf(c.ErrOrStderr(), "reading the layers of %s …\n", printable.Line(name))
		r, err := image.Look(img)
		if err != nil {
			return fmt.Errorf("%s: %w", img.Platform, err)
		}
		all = append(all, report{img.Platform, r})
		if !json {
			option.ShowImage(c, name, r)
			fmt.Fprintf(c.OutOrStdout(), "%s: %d layers, %s, %d findings\n", printable.Line(name), r.Layers,
				output.Size(r.Size), len(r.Findings))
		}
	}
	if json {
		return output.WriteJSON(c.OutOrStdout(), all)
	}
	return nil
}

// examine shows each finding as it comes, or all of them as JSON at the end.
func examine(c *cobra.Command, k *cluster.Cluster, own installation.Release, json bool) error {
	ctx, cancel := context.WithTimeout(c.Context(), examineFor)
	defer cancel()
	all, healthy := []cluster.Finding{}, true
	k.Examine(ctx, own, func(f cluster.Finding) {
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
