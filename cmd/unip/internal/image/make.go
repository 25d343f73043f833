package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/unip-knative/unip/cmd/unip/internal/digest"
)

// Made is an image that was made.
type Made struct {
	// Image is its name with the tag, Digest what the registry says it is; empty when it was not pushed.
	Image  string `json:"image"`
	Digest string `json:"digest,omitempty"`
	// Names are those that the manifests have for it.
	Names      []string `json:"names"`
	Dockerfile string   `json:"dockerfile"`
	Report
}

// Reference is the image's name with its digest.
func (m Made) Reference() string {
	if m.Digest == "" {
		return m.Image
	}
	return m.Image + "@" + m.Digest
}

// Options are how images are made.
type Options struct {
	// Dir is the folder that COPY copies from.
	Dir, Tag, Platform string
	// Revision of what is in Dir becomes a label; empty when it is not known.
	Revision    string
	Args, Flags []string
	Push        bool
}

// Make builds an image, looks at what is in it, and pushes it.
func (e *Engine) Make(ctx context.Context, s Source, o Options) (Made, error) {
	m := Made{Image: s.Repository + ":" + o.Tag, Names: s.Names, Dockerfile: s.Dockerfile}
	ref, err := name.NewTag(m.Image)
	if err != nil {
		return m, err
	}
	local := inEngine(ref)
	b := Build{Reference: local, Dockerfile: s.Dockerfile, Context: o.Dir, Args: o.Args, Platform: o.Platform,
		Flags: o.Flags}
	if o.Revision != "" {
		b.Labels = map[string]string{"org.opencontainers.image.revision": o.Revision}
	}
	if err := e.Build(ctx, b); err != nil {
		return m, err
	}
	if m.Report, err = e.look(ctx, local); err != nil {
		return m, fmt.Errorf("looking at what is in %s: %w", m.Image, err)
	}
	if !o.Push {
		return m, nil
	}
	if err := e.Push(ctx, local, ref.Context().Scheme() == "http"); err != nil {
		return m, fmt.Errorf("%w; log in to %s with %s", err, ref.Context().RegistryStr(), e.Name)
	}
	pushed, err := digest.Of(ref, access(ctx)...)
	if err != nil {
		return m, fmt.Errorf("%s was pushed, and its registry does not tell its digest: %w", m.Image, err)
	}
	m.Digest = pushed.String()
	return m, nil
}

// inEngine is an image's whole name, as engines have it. One without a registry is Docker's for
// Kubernetes; podman and buildah would take it for an image of this machine.
func inEngine(ref name.Tag) string {
	return strings.Replace(ref.Name(), name.DefaultRegistry+"/", "docker.io/", 1)
}

// look reads the image in the engine's storage, by way of a file.
func (e *Engine) look(ctx context.Context, reference string) (r Report, err error) {
	dir, err := os.MkdirTemp("", "unip-image-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "image.tar")
	if err := e.Save(ctx, reference, file); err != nil {
		return r, err
	}
	img, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		return r, err
	}
	return Look(img)
}

// Pulled is an image in its registry.
type Pulled struct {
	v1.Image
	Platform string // as linux/amd64
}

// Pull finds the images of a reference in its registry, one for each platform that it has, for Look:
// their layers come as they are read. Who may pull is who is logged in on this machine.
func Pull(ctx context.Context, reference string) ([]Pulled, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, err
	}
	found, err := remote.Get(ref, access(ctx)...)
	if err != nil {
		return nil, err
	}
	if !found.MediaType.IsIndex() {
		img, err := found.Image()
		if err != nil {
			return nil, err
		}
		config, err := img.ConfigFile()
		if err != nil {
			return nil, err
		}
		return []Pulled{{img, config.Platform().String()}}, nil
	}
	index, err := found.ImageIndex()
	if err != nil {
		return nil, err
	}
	all, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var images []Pulled
	for _, m := range all.Manifests {
		if !m.MediaType.IsImage() || m.Platform == nil || m.Platform.OS == "unknown" { // what a builder says of it
			continue
		}
		img, err := index.Image(m.Digest)
		if err != nil {
			return nil, err
		}
		images = append(images, Pulled{img, m.Platform.String()})
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("%s has no image of any platform", reference)
	}
	return images, nil
}

func access(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
}
