package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/image"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/eventing/printable"
)

func buildCommand(build release.Build) *cobra.Command {
	t := option.Translation{Build: build}
	var images option.Images
	var format option.Format
	c := &cobra.Command{
		Use:   "build [IMAGE...] -f FILE|FOLDER|-",
		Short: "Make a module's images from its repository",
		Long: `Build makes the images that the manifests name, with podman, docker or buildah, tags them by the
short commit of the repository, pushes them, and prints each with its digest. An image is made from
Dockerfile.NAME or NAME/Dockerfile, where NAME is the last part of its name (for leaves-extract also
extract), else from the file Dockerfile. Images with a digest are left alone, and so are those that
are not named where IMAGEs are.

What need not be in an image is told with its size and the cure: the repository's history, data of
tests, weights, what builds leave, and a base with compilers. The image runs with it all the same.

'unip apply --build' does the same first, and brings the module to the cluster with these images.`,
		Example: `  unip build -f manifests/
  unip build registry.example/ann/leaves -f manifests/ --push=false
  unip build -f manifests/ -o json | jq -r '.[].digest'`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := format.Check(); err != nil {
				return err
			}
			m, err := t.Decide(c)
			if err != nil {
				return err
			}
			made, err := images.Make(c, m, args)
			if format.JSON() {
				return errors.Join(output.WriteJSON(c.OutOrStdout(), append([]image.Made{}, made...)), err)
			}
			for _, x := range made {
				fmt.Fprintln(c.OutOrStdout(), printable.Line(x.Reference()))
			}
			return err
		},
	}
	t.AddFlags(c)
	images.AddFlags(c)
	c.Flags().BoolVar(&images.Push, "push", true, "push the images to their registry")
	format.AddTextOrJSON(c)
	return c
}
