// Package digest finds the digests of images whose names have a tag. Code that is pushed again
// under an old tag runs only when the objects change, and a digest makes them change.
package digest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
)

const (
	// patience is how long a registry may take to answer.
	patience = 20 * time.Second
	// together is how many registries are asked at a time.
	together = 8
)

// Pin gives a module the digests of its images, as the registries have them now. Who may pull is
// who is logged in on this machine. An image that a registry does not have is an error; one whose
// registry cannot be asked keeps its tag, and a warning says so.
func Pin(ctx context.Context, m *module.Module) (*module.Module, manifest.Diagnostics) {
	images := m.Images()
	digests, errs := make([]string, len(images)), make([]error, len(images))
	var group errgroup.Group
	group.SetLimit(together)
	for i, x := range images {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			digests[i], errs[i] = find(ctx, x.Name)
			return nil
		})
	}
	_ = group.Wait() // each has its own error
	var found manifest.Diagnostics
	pinned := map[string]string{}
	for i, x := range images {
		switch err := errs[i]; {
		case err == nil:
			pinned[x.Name] = digests[i]
		case missing(err):
			found.Errorf(x.Position, "the image %s is not in its registry", x.Name)
		default:
			found.Warnf(x.Position, "the digest of %s is not known, so code that is pushed again under this tag "+
				"does not run: %v; log in to the registry on this machine (docker login), or write NAME@DIGEST",
				x.Name, err)
		}
	}
	return m.Pinned(pinned), found
}

// find is the image's name with the digest that the registry has of it.
func find(ctx context.Context, image string) (string, error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return "", err
	}
	if _, is := ref.(name.Digest); is {
		return image, nil
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithRetryBackoff(remote.Backoff{Duration: time.Second / 4, Factor: 2, Jitter: 0.1, Steps: 3})}
	hash, err := Of(ref, options...)
	if err != nil {
		return "", err
	}
	return image + "@" + hash.String(), nil
}

// Of is the digest that a registry has of an image. It asks for the image's header; there are
// registries that tell the digest only with the whole manifest.
func Of(ref name.Reference, options ...remote.Option) (v1.Hash, error) {
	d, err := remote.Head(ref, options...)
	if err == nil {
		return d.Digest, nil
	}
	var network *url.Error
	if errors.As(err, &network) || missing(err) {
		return v1.Hash{}, err
	}
	whole, err := remote.Get(ref, options...)
	if err != nil {
		return v1.Hash{}, err
	}
	return whole.Digest, nil
}

// missing reports that the registry has answered, and does not have the image.
func missing(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}
