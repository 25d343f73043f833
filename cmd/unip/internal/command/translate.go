package command

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/translate"
	"github.com/unip-knative/unip/translate/encode"
)

func translateCommand(build release.Build) *cobra.Command {
	t := option.Translation{Build: build}
	var form string
	c := &cobra.Command{
		Use:     "translate -f FILE|FOLDER|-",
		Aliases: []string{"render", "generate"},
		Short:   "Translate manifests into Knative and Kubernetes objects",
		Long: `Translate reads the manifests of one module and writes the objects that run it to standard output.
Notes (fields without effect) and errors, each with its place, go to standard error; when there is
an error nothing is written. The same input gives the same bytes.

Objects of other groups in the folder (a ConfigMap, a Deployment) are carried through unchanged,
with a note, if they are of a usual kind and lie in the module's own namespace. Rights, cluster-wide
kinds and other namespaces are an error, unless --allow-foreign is given.`,
		Example: `  unip translate -f manifests/ | ko apply -f -        # a development build: ko makes unip's images
  unip translate -f manifests/ | kubectl apply -f -   # a release
  cat module.yaml | unip translate -f - -o json
  unip translate -f manifests/ -o dir=base/           # a base for kustomize`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			write := encode.WriteYAML[translate.Object]
			dir, toFolder := strings.CutPrefix(form, "dir=")
			switch {
			case form == "yaml", toFolder && dir != "":
			case form == "json":
				write = encode.WriteJSON
			default:
				return exit.Errorf(exit.UsageWrong, "-o: %q is none of yaml, json, dir=FOLDER", form)
			}
			_, objects, err := t.Objects(c)
			if err != nil {
				return err
			}
			if toFolder {
				return output.WriteKustomization(dir, objects)
			}
			return write(c.OutOrStdout(), objects)
		},
	}
	t.AddFlags(c)
	t.AddObjectFlags(c, "unip's own images: ko (references that ko builds) or release; default what this build knows",
		"leave the Namespace object out")
	t.AddDigests(c, false)
	c.Flags().StringVarP(&form, "output", "o", "yaml",
		"yaml, json, or dir=FOLDER: a file per object and a kustomization.yaml")
	option.Complete(c, "output", "yaml", "json", "dir=")
	return c
}
