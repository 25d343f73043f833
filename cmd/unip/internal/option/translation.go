package option

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/code"
	"github.com/unip-knative/unip/cmd/unip/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/functions/inference/worker"
	"github.com/unip-knative/unip/translate"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
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

	config, images                     string
	noNamespace, lenient, allowForeign bool
}

// AddFlags adds the flags of all commands that read a module.
func (t *Translation) AddFlags(c *cobra.Command) {
	t.Manifests.AddFlags(c)
	c.Flags().StringVar(&t.config, "config", "", "the installation's unip.yaml (default: that of the local cluster)")
	c.Flags().BoolVar(&t.lenient, "lenient", false, "unknown fields are warnings, not errors")
	c.Flags().BoolVar(&t.allowForeign, "allow-foreign", false,
		"carry objects of other groups wherever they go: into other namespaces, "+
			"and rights and other things of the whole cluster")
}

// AddObjectFlags adds the flags of the commands that do something with the objects: --images and
// --no-namespace, which imagesUsage and namespaceUsage explain.
func (t *Translation) AddObjectFlags(c *cobra.Command, imagesUsage, namespaceUsage string) {
	c.Flags().StringVar(&t.images, "images", "", imagesUsage)
	c.Flags().BoolVar(&t.noNamespace, "no-namespace", false, namespaceUsage)
	Complete(c, "images", "ko", "release")
}

// Objects reads a module and translates it. Findings go to standard error, unless quiet.
func (t *Translation) Objects(c *cobra.Command, quiet bool) ([]translate.Object, manifest.Diagnostics, error) {
	_, objects, found, err := t.translate(c, quiet)
	return objects, found, err
}

// Decide reads a module and decides it; what cannot be translated is refused here as well.
func (t *Translation) Decide(c *cobra.Command) (*module.Module, error) {
	m, _, _, err := t.translate(c, false)
	return m, err
}

// Validate reads a module, translates it, and looks at the code of its functions below a folder; ""
// leaves the code out. Findings go to standard error, unless quiet.
func (t *Translation) Validate(c *cobra.Command, quiet bool, dir string) (manifest.Diagnostics, error) {
	m, _, found, err := t.translate(c, quiet)
	if err != nil || dir == "" {
		return found, err
	}
	more, err := code.Check(dir, m)
	if err != nil {
		return nil, exit.Because(exit.InputWrong, err)
	}
	if !quiet {
		show(c, more)
	}
	return append(found, more...), nil
}

func show(c *cobra.Command, found manifest.Diagnostics) {
	for _, d := range found {
		fmt.Fprintln(c.ErrOrStderr(), printable.Line(d.String()))
	}
}

func (t *Translation) translate(c *cobra.Command, quiet bool) (
	m *module.Module, objects []translate.Object, found manifest.Diagnostics, err error,
) {
	files, err := t.Read(c.Context(), c.InOrStdin())
	if err != nil {
		return nil, nil, nil, err
	}
	o := translate.Options{
		Worker: worker.Files(), NoNamespace: t.noNamespace, Lenient: t.lenient, AllowForeign: t.allowForeign,
	}
	if o.Config, err = t.installation(); err != nil {
		return nil, nil, nil, err
	}
	if o.Images, err = t.imageNames(); err != nil {
		return nil, nil, nil, err
	}
	if m, found = translate.Decide(files, o); m != nil {
		objects, found = translate.Make(m, found, o)
	}
	if !quiet {
		show(c, found)
	}
	if found.Failed() {
		return nil, nil, found, exit.Shown(exit.InputWrong, "the manifests are wrong")
	}
	return m, objects, found, nil
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
		return released, exit.Errorf(exit.UsageWrong,
			"--images=release: this is a development build, which knows no released images")
	}
	return ko, exit.Errorf(exit.UsageWrong, "--images: %q is neither ko nor release", t.images)
}
