package module

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
}
