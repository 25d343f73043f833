package option

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/functions/inference/worker"
	"github.com/unip-knative/unip/translate"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/resources"
)

// ko's references of unip's own images.
const (
	koInference = "ko://github.com/unip-knative/unip/functions/inference"
	koGateway   = "ko://github.com/unip-knative/unip/functions/gateway"
)

// Translation is which manifests are translated, and how.
type Translation struct {
	Manifests
	Build release.Build

	config, images        string
	noNamespace           bool
	Lenient, AllowForeign bool
}

// AddFlags adds the flags of all commands that read a module.
func (t *Translation) AddFlags(c *cobra.Command) {
	t.Manifests.AddFlags(c)
	c.Flags().StringVar(&t.config, "config", "", "the installation's unip.yaml (default: that of the local cluster)")
	c.Flags().BoolVar(&t.Lenient, "lenient", false, "unknown fields are warnings, not errors")
	c.Flags().BoolVar(&t.AllowForeign, "allow-foreign", false,
		"carry objects of other groups wherever they go: into other namespaces, and rights and other things of the whole cluster")
}

// AddObjectFlags adds the flags of the commands that do something with the objects: --images and --no-namespace, which
// imagesUsage and namespaceUsage explain.
func (t *Translation) AddObjectFlags(c *cobra.Command, imagesUsage, namespaceUsage string) {
	c.Flags().StringVar(&t.images, "images", "", imagesUsage)
	c.Flags().BoolVar(&t.noNamespace, "no-namespace", false, namespaceUsage)
	Complete(c, "images", "ko", "release")
}

// Objects reads and translates. Findings go to standard error, unless quiet.
func (t *Translation) Objects(c *cobra.Command, quiet bool) ([]translate.Object, manifest.Diagnostics, error) {
	files, err := t.Read(c.Context(), c.InOrStdin())
	if err != nil {
		return nil, nil, err
	}
	return t.Translate(c, files, quiet)
}

// Translate translates what has been read. Findings go to standard error, unless quiet.
func (t *Translation) Translate(c *cobra.Command, files []manifest.File, quiet bool) ([]translate.Object, manifest.Diagnostics, error) {
	config, err := t.installation()
	if err != nil {
		return nil, nil, err
	}
	images, err := t.imageNames()
	if err != nil {
		return nil, nil, err
	}
	objects, found := translate.Translate(files, translate.Options{
		Config: config, Images: images, Worker: worker.Files(), NoNamespace: t.noNamespace, Lenient: t.Lenient,
		AllowForeign: t.AllowForeign,
	})
	if !quiet {
		for _, d := range found {
			fmt.Fprintln(c.ErrOrStderr(), printable.Line(d.String()))
		}
	}
	if found.Failed() {
		return nil, found, exit.Shown(exit.InputWrong, "the manifests are wrong")
	}
	return objects, found, nil
}

// installation is the configuration that --config names, or that of the local cluster.
func (t *Translation) installation() (installation.Config, error) {
	if t.config == "" {
		return installation.Default(), nil
	}
	b, err := os.ReadFile(t.config)
	if err != nil {
		return installation.Config{}, exit.Because(exit.InputWrong, err)
	}
	config, err := installation.Parse(b)
	if err != nil {
		return installation.Config{}, exit.Errorf(exit.InputWrong, "%s: %w", t.config, err)
	}
	return config, nil
}

// imageNames are unip's own images: a release's, or ko's references.
func (t *Translation) imageNames() (resources.Images, error) {
	ko := resources.Images{Inference: koInference, Gateway: koGateway}
	released := resources.Images{Inference: t.Build.Inference, Gateway: t.Build.Gateway}
	switch {
	case t.images == "ko", t.images == "" && !t.Build.HasImages():
		return ko, nil
	case t.images == "", t.images == "release" && t.Build.HasImages():
		return released, nil
	case t.images == "release":
		return released, exit.Errorf(exit.UsageWrong, "--images=release: this is a development build, which knows no released images")
	}
	return ko, exit.Errorf(exit.UsageWrong, "--images: %q is neither ko nor release", t.images)
}
