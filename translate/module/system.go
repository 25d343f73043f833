package module

import "github.com/unip-knative/unip/translate/manifest"

// noteSystem says what of the system kinds has no effect.
func noteSystem(s *scope) {
	for _, x := range s.read.Repositories {
		noLabels(s, &x.Header)
	}
	for _, x := range s.read.Apps {
		noLabels(s, &x.Header)
	}
	for _, x := range s.read.Scalings {
		noLabels(s, &x.Header)
	}
	for _, x := range s.read.Datasets {
		noLabels(s, &x.Header)
		s.Notef(x.Position, "DatasetComponent has no effect here: to share a dataset, annotate its DataBox with %s",
			manifest.SharedWith.Name)
	}
}
