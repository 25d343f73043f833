// Package release holds what a build of unip knows of itself.
package release

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
)

// Build is one build. One without images is a development build, whose images ko makes.
type Build struct {
	Version, Commit string
	// Inference and Gateway are the images of a release, by digest.
	Inference, Gateway string
	// Installation is the release's unip.yaml, as the linker brings it: compressed, in base64.
	Installation string
}

// HasImages reports that this is a release.
func (b Build) HasImages() bool { return b.Inference != "" }

// maxYAML bounds what is unpacked.
const maxYAML = 16 << 20

// YAML is the release's unip.yaml; nil in a development build.
func (b Build) YAML() ([]byte, error) {
	if b.Installation == "" {
		return nil, nil
	}
	packed, err := base64.StdEncoding.DecodeString(b.Installation)
	if err != nil {
		return nil, fmt.Errorf("the unip.yaml of this build: %w", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("the unip.yaml of this build: %w", err)
	}
	return io.ReadAll(io.LimitReader(z, maxYAML))
}
