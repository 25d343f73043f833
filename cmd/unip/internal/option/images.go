package option

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/image"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/translate/module"
)

// Images is how the images of a module are made.
type Images struct {
	image.Options
	Engine string
}

// AddFlags adds the flags.
func (o *Images) AddFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.Dir, "dir", ".", "the folder with the Dockerfile and the code")
	f.StringVar(&o.Tag, "tag", "", "the images' tag (default: the short commit, with -dirty when there are changes)")
	f.StringVar(&o.Engine, "engine", "auto", "which container engine builds: "+strings.Join(image.Engines, ", ")+
		" or auto, the first of them that works")
	f.StringVar(&o.Platform, "platform", "linux/amd64", "the platform of the cluster's nodes")
	f.StringArrayVar(&o.Args, "build-arg", nil, "a build argument NAME=VALUE; may be repeated")
	f.StringArrayVar(&o.Flags, "engine-flag", nil, "a flag for the engine's build command, as it is; may be repeated")
	cobra.CheckErr(c.MarkFlagDirname("dir"))
	Complete(c, "engine", append([]string{"auto"}, image.Engines...)...)
	Complete(c, "platform", "linux/amd64", "linux/arm64")
}

// Make makes the images of a module that have a Dockerfile: all of them, or those that are named.
// What the engine says and what need not be in an image goes to standard error.
func (o *Images) Make(c *cobra.Command, m *module.Module, only []string) ([]image.Made, error) {
	ctx := c.Context()
	if o.Engine != "auto" && !slices.Contains(image.Engines, o.Engine) {
		return nil, exit.Because(exit.UsageWrong, fmt.Errorf("the engine %q is unknown; known are %s", o.Engine,
			strings.Join(image.Engines, ", ")))
	}
	if err := image.CheckTag(o.Tag); err != nil {
		return nil, exit.Because(exit.UsageWrong, err)
	}
	names, err := chosen(m, only)
	if err != nil {
		return nil, err
	}
	sources, err := image.Sources(names, o.Dir)
	if err != nil {
		return nil, exit.Because(exit.InputWrong, err)
	}
	options := o.Options
	if options.Revision, err = revision(c, o.Dir); err != nil && o.Tag == "" {
		return nil, exit.Because(exit.InputWrong, err)
	}
	options.Tag = cmp.Or(o.Tag, options.Revision)
	engine, err := image.Find(ctx, o.Engine, c.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	var all []image.Made
	for _, s := range sources {
		fmt.Fprintf(c.ErrOrStderr(), "building %s:%s from %s with %s …\n", s.Repository, options.Tag, s.Dockerfile,
			engine.Name)
		made, err := engine.Make(ctx, s, options)
		if err != nil {
			return all, err
		}
		ShowImage(c, made.Image, made.Report)
		all = append(all, made)
	}
	return all, nil
}

// Names are the images' names with digests, by those that the manifests have.
func Names(all []image.Made) map[string]string {
	names := map[string]string{}
	for _, m := range all {
		for _, name := range m.Names {
			names[name] = m.Reference()
		}
	}
	return names
}

// revision is the short commit of what is built.
func revision(c *cobra.Command, dir string) (string, error) {
	commit, changed, err := image.Revision(c.Context(), dir)
	if err != nil || !changed {
		return commit, err
	}
	commit += "-dirty"
	fmt.Fprintf(c.ErrOrStderr(), "warning: %s has changes that are in no commit, so its revision is %s\n",
		filepath.ToSlash(dir), commit)
	return commit, nil
}

// chosen are the images of the module that are meant: by their whole name, or without the tag.
func chosen(m *module.Module, only []string) ([]string, error) {
	left := map[string]bool{}
	for _, o := range only {
		left[o] = true
	}
	var names []string
	for _, x := range m.Images() {
		repository := image.Repository(x.Name)
		if len(only) == 0 || slices.Contains(only, x.Name) || slices.Contains(only, repository) {
			names = append(names, x.Name)
		}
		delete(left, x.Name)
		delete(left, repository)
	}
	if len(left) > 0 {
		return nil, exit.Because(exit.InputWrong, fmt.Errorf("the manifests name no image %s",
			strings.Join(slices.Sorted(maps.Keys(left)), ", ")))
	}
	return names, nil
}

// ShowImage shows what was found in an image, on standard error.
func ShowImage(c *cobra.Command, name string, r image.Report) {
	for _, f := range r.Findings {
		fmt.Fprintln(c.ErrOrStderr(), printable.Line(fmt.Sprintf("warning: %s: %s: %s, %s: %s", name, f.Rule, f.Path,
			output.Size(f.Size), f.Cure)))
	}
}
