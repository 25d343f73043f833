package module

import (
	"slices"

	"github.com/unip-knative/unip/translate/manifest"
)

// Image is an image of the module's author, with the first place that names it.
type Image struct {
	manifest.Position
	Name string
}

// Images are the images of components and stages, each once.
func (m *Module) Images() (all []Image) {
	add := func(at manifest.Position, name string) {
		if !slices.ContainsFunc(all, func(x Image) bool { return x.Name == name }) {
			all = append(all, Image{at, name})
		}
	}
	for _, c := range m.Components {
		add(c.Places.Image, c.Image)
	}
	for _, p := range m.Pipelines {
		for i, s := range p.Spec.Stages {
			add(p.Images[i], s.Image)
		}
	}
	return all
}

// Pinned is the module with other names of its images, by those that it has now. Images that are not
// among them keep theirs.
func (m *Module) Pinned(names map[string]string) *Module {
	pin := func(image *string) {
		if name, ok := names[*image]; ok {
			*image = name
		}
	}
	out := *m
	out.Components, out.Pipelines = slices.Clone(m.Components), slices.Clone(m.Pipelines)
	for i := range out.Components {
		pin(&out.Components[i].Image)
	}
	for i := range out.Pipelines {
		spec := &out.Pipelines[i].Spec
		spec.Stages = slices.Clone(spec.Stages)
		for j := range spec.Stages {
			pin(&spec.Stages[j].Image)
		}
	}
	return &out
}
