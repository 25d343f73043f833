package module

import (
	"cmp"
	"slices"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/translate/manifest"
)

// Storage is what the gateway needs for files and runs; empty when neither is published.
type Storage struct {
	Boxes, Datasets []string // of Boxes, those that can only be read
	Pipelines       []string // set when runs are published
	Links           bool     // set when files are published
	// Developers are by box who may write into its developer's area, when files are published.
	Developers map[string][]string
}

// Routes are the published APIs, by name.
func (m *Module) Routes() []routes.API {
	var all []routes.API
	for _, a := range m.APIs {
		if !a.Published {
			continue
		}
		for _, p := range m.Pipelines {
			if a.Route.Kind == routes.KindPipeline && a.Route.Target == p.Name && len(p.Labels) > 0 {
				a.Route.Labels = p.Labels
			}
		}
		all = append(all, a.Route)
	}
	slices.SortFunc(all, func(a, b routes.API) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// RoutesFile is what the gateway is told of the published APIs.
func (m *Module) RoutesFile() routes.File {
	return routes.File{APIs: m.Routes(), Boxes: m.Storage.Boxes, Datasets: m.Storage.Datasets,
		Pipelines: m.Storage.Pipelines, Developers: m.Storage.Developers}
}

// storageOf is what the published APIs need of boxes and pipelines.
func storageOf(m *Module) Storage {
	var s Storage
	published := map[string]bool{}
	for _, r := range m.Routes() {
		published[r.Kind] = true
	}
	s.Links = published[routes.KindFiles]
	if published[routes.KindPipelines] || published[routes.KindPipeline] {
		for _, p := range m.Pipelines {
			s.Pipelines = append(s.Pipelines, p.Name)
		}
	}
	if s.Links || published[routes.KindPipelines] || published[routes.KindPipeline] {
		for _, b := range m.Boxes {
			s.Boxes = append(s.Boxes, b.Name)
			if s.Links && len(b.Developers) > 0 {
				if s.Developers == nil {
					s.Developers = map[string][]string{}
				}
				s.Developers[b.Name] = b.Developers
			}
			if b.Spec.DatasetReference != nil {
				s.Datasets = append(s.Datasets, b.Name)
			}
		}
	}
	for _, names := range [][]string{s.Boxes, s.Datasets, s.Pipelines} {
		slices.Sort(names)
	}
	return s
}

// noteSharedFiles notes boxes that other modules read and that hold users' files.
func noteSharedFiles(s *scope) {
	if !slices.ContainsFunc(s.read.APIs, func(a *manifest.APIComponent) bool { return a.Spec.Has(routes.KindFiles) }) {
		return
	}
	for _, x := range s.read.Boxes {
		if v, ok := x.Meta.Annotations[manifest.SharedWith.Name]; ok && isStorage(x) {
			s.Notef(v.At,
				"DataBox %s is shared, and the file API keeps users' files in it: other modules read what is not "+
					"below users/, never those files", x.Meta.Name.Value)
		}
	}
}
