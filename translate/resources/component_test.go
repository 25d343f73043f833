package resources

import (
	"slices"
	"testing"

	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/module"
)

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
