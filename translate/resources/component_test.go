package resources

import (
	"slices"
	"testing"

	"knative.dev/serving/pkg/apis/autoscaling"

	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
)

// What the table of annotations says that they become is what Knative reads.
func TestAnnotationsBecomeKnatives(t *testing.T) {
	t.Parallel()
	for a, key := range map[manifest.Annotation]string{
		manifest.MinScale.Annotation:       autoscaling.MinScaleAnnotationKey,
		manifest.MaxScale.Annotation:       autoscaling.MaxScaleAnnotationKey,
		manifest.ScaleDownDelay.Annotation: autoscaling.ScaleDownDelayAnnotationKey,
	} {
		if a.Becomes != key {
			t.Errorf("%s becomes %s, and Knative reads %s", a.Name, a.Becomes, key)
		}
	}
}

// Whatever the profile, no user's container listens to the pod's network.
func TestFunctionHasNoRawSockets(t *testing.T) {
	t.Parallel()
	for _, p := range []installation.Profile{installation.Baseline, installation.Restricted} {
		m := Module{Config: installation.Default()}
		m.Config.Security = p
		dropped := makeFunction(m, module.Component{}).SecurityContext.Capabilities.Drop
		if !slices.Contains(dropped, "NET_RAW") && !slices.Contains(dropped, "ALL") {
			t.Errorf("%s: dropped are only %v", p, dropped)
		}
	}
}
