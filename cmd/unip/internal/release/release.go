// Package release holds what a build of unip knows of itself.
package release

// Build is one build. One without images is a development build, whose images ko makes.
type Build struct {
	Version, Commit string
	// Inference and Gateway are the images of a release, by digest.
	Inference, Gateway string
}

// HasImages reports that this is a release.
func (b Build) HasImages() bool { return b.Inference != "" }
