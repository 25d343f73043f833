package option

import (
	"context"
	"fmt"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/internal/option"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/functions/inference/worker"
	"github.com/unip-knative/unip/translate"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/resources"
)

// ko's references of unip's own images.
const (
	koInference = "ko://github.com/unip-knative/unip/functions/inference"
	koGateway   = "ko://github.com/unip-knative/unip/functions/gateway"
)

// options are those of a translation: what the flags say, then the installation of the cluster when
// there is one, then what this build knows.
func (t *Translation) options(ctx context.Context) (o translate.Options, err error) {
	o = translate.Options{
		Config: installation.Default(), Worker: worker.Files(), NoNamespace: t.noNamespace, Lenient: t.lenient,
		AllowForeign: t.allowForeign, Pinned: t.digests,
	}
	config := o.Config
	if t.config != "" {
		config, err = option.ReadConfig(t.config)
	} else if t.Cluster != nil {
		config, err = t.installedConfig(ctx)
	}
	if err != nil {
		return o, err
	}
	o.Config, t.Host = config, config.Host
	if t.images == "" && t.Cluster != nil && !t.AnyImages {
		return o, t.installedRelease(ctx, &o)
	}
	o.Images, err = t.imageNames()
	return o, err
}

// installedConfig is the configuration of the cluster's installation.
func (t *Translation) installedConfig(ctx context.Context) (installation.Config, error) {
	c, err := t.Cluster()
	if err != nil {
		return installation.Config{}, err
	}
	config, _, err := c.InstalledConfig(ctx)
	if err != nil {
		err = fmt.Errorf("reading unip.yaml of the installation (ConfigMap %s/%s): %w; --config FILE takes a file in "+
			"its place", names.SystemNamespace, names.Config, err)
	}
	return config, err
}

// installedRelease takes images and worker from the cluster's installation: they belong together. An
// installation that does not say them gets those of this build, if it knows any.
func (t *Translation) installedRelease(ctx context.Context, o *translate.Options) error {
	c, err := t.Cluster()
	if err != nil {
		return err
	}
	r, there, err := c.InstalledRelease(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("reading which images the installation has: %w; --images says others", err)
	case there:
		o.Images, o.Worker = resources.Images{Inference: r.Inference, Gateway: r.Gateway}, r.Worker
	case t.Build.HasImages():
		o.Images, err = t.imageNames()
	default:
		err = exit.Errorf(exit.Failed, "the cluster does not say which images unip has: there is no ConfigMap %s/%s, "+
			"which unip's controller writes; `unip doctor` says what is missing. In a checkout of unip, --images=ko "+
			"builds them", names.SystemNamespace, names.Release)
	}
	return err
}

// imageNames are unip's own images without a cluster: a release's, or ko's references.
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
