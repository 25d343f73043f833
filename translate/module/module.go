// Package module decides what a module is. From the manifests and the installation come the values
// of everything that is made of them, each with its place, and all that is wrong or without effect.
//
// Each field is looked at once: what is found wrong with it and what becomes of it come from the
// same function. What is decided is changed by nobody. No object is made here, and neither Knative
// nor a client of a cluster is known: who runs a module elsewhere takes the same values.
package module

import (
	"slices"

	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
)

// Module is a module with everything decided.
type Module struct {
	Namespace string            // "" when it has nothing but objects of other groups
	At        manifest.Position // of its first object

	// Source is where the code comes from.
	Source Source
	// Labels are those of the gateway.
	Labels map[string]string

	// All are in the order of the manifests.
	Secrets    []Secret
	Boxes      []Box
	Datasets   []Dataset
	Components []Component
	Pipelines  []Pipeline
	APIs       []API
	Foreign    []Foreign

	// Storage is what the gateway needs for files and runs.
	Storage Storage
}

// Options of a decision.
type Options struct {
	// Lenient turns unknown fields into warnings.
	Lenient bool
	// AllowForeign carries objects of other groups through wherever they go: into other namespaces,
	// and cluster-wide ones.
	AllowForeign bool
	// Pinned: the images' tags become digests before the module runs, so that none of them moves.
	Pinned bool
}

// scope is what is looked at beside an object: the other objects by their names, the installation,
// and where findings go.
type scope struct {
	*manifest.Diagnostics
	objects
	config installation.Config
	source Source
	// registries are the package registries that the module declares.
	registries map[string]bool
	// scalings are what ScalingConfigs say of components, by their names.
	scalings map[string]scalingRule
	pinned   bool
	// watchers are all on-upload rules that were decided so far.
	watchers []watcher
}

// Decide decides a module that has been read; found are the findings of that. All findings come
// back sorted. When there is an error among them, there is no module.
func Decide(
	read *manifest.Module, found manifest.Diagnostics, config installation.Config, o Options,
) (*Module, manifest.Diagnostics) {
	m, found := Draft(read, found, config, o)
	if found.Failed() {
		return nil, found
	}
	return m, found
}

// Draft is Decide for those who look for more errors: there is a module all the same, of which only
// the objects without an error are whole.
func Draft(
	read *manifest.Module, found manifest.Diagnostics, config installation.Config, o Options,
) (*Module, manifest.Diagnostics) {
	found = slices.Clone(found)
	if o.Lenient {
		found.Lenient()
	}
	m := &Module{}
	s := &scope{Diagnostics: &found, config: config, pinned: o.Pinned}
	m.Namespace, m.At = oneNamespace(s, read)
	s.objects = index(s, read, m.Namespace)
	s.source, s.registries = decideSource(s), registries(s)
	s.scalings = decideScalings(s)
	m.Source, m.Labels = s.source, gatewayLabels(s)
	for _, x := range read.Secrets {
		m.Secrets = append(m.Secrets, decideSecret(s, x))
	}
	for _, x := range read.Boxes {
		m.Boxes = append(m.Boxes, decideBox(s, x))
	}
	for _, x := range read.Components {
		m.Components = append(m.Components, decideComponent(s, x))
	}
	keepModels(m.Components)
	for _, x := range read.Datasets {
		m.Datasets = append(m.Datasets, decideDataset(s, x))
	}
	pipelines, chains := decidePipelines(s)
	m.Pipelines = pipelines
	checkCircles(s)
	m.APIs = decideAPIs(s, m.Components, chains)
	m.Storage = storageOf(m)
	checkUsers(s, m)
	noteSharedFiles(s)
	noteWanted(s, chains)
	noteSystem(s)
	for _, x := range read.Foreign {
		m.Foreign = append(m.Foreign, decideForeign(s, x, o.AllowForeign))
	}
	found.Sort()
	return m, found
}

// Without is a module without those objects whose place is among these, and without a gateway when
// an API's is.
func (m *Module) Without(places map[manifest.Position]bool) *Module {
	rest := *m
	rest.Secrets = without(m.Secrets, places, func(x Secret) manifest.Position { return x.Position })
	rest.Boxes = without(m.Boxes, places, func(x Box) manifest.Position { return x.Position })
	rest.Datasets = without(m.Datasets, places, func(x Dataset) manifest.Position { return x.Position })
	rest.Components = without(m.Components, places, func(x Component) manifest.Position { return x.Places.Position })
	rest.Pipelines = without(m.Pipelines, places, func(x Pipeline) manifest.Position { return x.Position })
	rest.Foreign = without(m.Foreign, places, func(x Foreign) manifest.Position { return x.Position })
	if slices.ContainsFunc(m.APIs, func(x API) bool { return places[x.Position] }) {
		rest.APIs, rest.Storage = nil, Storage{}
	}
	return &rest
}

func without[T any](all []T, places map[manifest.Position]bool, of func(T) manifest.Position) []T {
	return slices.DeleteFunc(slices.Clone(all), func(x T) bool { return places[of(x)] })
}
