package module

import "github.com/unip-knative/unip/translate/manifest"

// noteSystem says which of the system kinds have no effect.
func noteSystem(s *scope) {
	for _, x := range s.read.Repositories {
		joins(s, x.Header)
	}
	for _, x := range s.read.Apps {
		joins(s, x.Header)
	}
	for _, x := range s.read.Scalings {
		joins(s, x.Header)
	}
	for _, x := range s.read.Datasets {
		s.Notef(x.Position, "DatasetComponent has no effect here: to share a dataset, annotate its DataBox with %s",
			manifest.SharedWith.Name)
	}
}

func joins(s *scope, h manifest.Header) {
	s.Notef(h.Position, "%s has no effect here: it joins a module to the platform's own repository and registry", h.Kind)
}
