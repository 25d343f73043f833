package option

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/code"
	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/cmd/unip/internal/digest"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/translate"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
)

// Translation is which manifests are translated, and how.
type Translation struct {
	Manifests
	Build release.Build
	// Cluster, where it is set, connects to the cluster whose installation has the say in what
	// --config and --images leave open.
	Cluster func() (*cluster.Cluster, error)
	// MakeImages, where it is set, makes images of the module before it is translated, and says their
	// names with digests by those in the manifests.
	MakeImages func(*cobra.Command, *module.Module) (map[string]string, error)
	// AnyImages says that unip's own images do not matter: what is removed needs none.
	AnyImages bool
	// Host is where the installation's router answers for all modules, once they were translated.
	Host string

	config, images                              string
	noNamespace, lenient, allowForeign, digests bool
}

// AddFlags adds the flags of all commands that read a module.
func (t *Translation) AddFlags(c *cobra.Command) {
	t.Manifests.AddFlags(c)
	c.Flags().StringVar(&t.config, "config", "",
		"the installation's unip.yaml (default: that of the cluster, or without a cluster the local cluster's)")
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

// AddDigests adds --digests.
func (t *Translation) AddDigests(c *cobra.Command, usual bool) {
	c.Flags().BoolVar(&t.digests, "digests", usual,
		"ask the registries for the digests of your images, so that what is pushed again under the same tag runs")
}

// Objects reads a module and translates it. Findings go to standard error.
func (t *Translation) Objects(c *cobra.Command) (*module.Module, []translate.Object, error) {
	m, objects, _, err := t.translate(c, false)
	return m, objects, err
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
	o, err := t.options(c.Context())
	if err != nil {
		// Wrong manifests are told even where no cluster can be asked.
		if _, found = translate.Decide(files, o); found.Failed() {
			show(c, found)
			return nil, nil, found, exit.Shown(exit.InputWrong, "the manifests are wrong")
		}
		return nil, nil, nil, err
	}
	if m, found = translate.Decide(files, o); m != nil {
		if t.MakeImages != nil && !found.Failed() {
			made, err := t.MakeImages(c, m)
			if err != nil {
				return nil, nil, found, err
			}
			m = m.Pinned(made)
		}
		if t.digests {
			pinned, more := digest.Pin(c.Context(), m)
			m, found = pinned, append(found, more...)
		}
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
