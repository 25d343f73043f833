package translate

import (
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/resources"
)

// Components are the MLComponents of a module with everything decided, for who runs one elsewhere than in a cluster. When the findings hold an error, there are none. What Knative would refuse, only Translate finds.
func Components(files []manifest.File, o Options) ([]resources.Component, manifest.Diagnostics) {
	m, found := manifest.Read(files)
	if o.Lenient {
		found.Lenient()
	}
	c := &checker{found: &found, config: o.Config, module: m, allowForeign: o.AllowForeign}
	c.check()
	found.Sort()
	if found.Failed() {
		return nil, found
	}
	var all []resources.Component
	for _, x := range m.Components {
		all = append(all, c.component(x))
	}
	return all, found
}
