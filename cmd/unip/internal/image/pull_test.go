package image_test

import (
	"log/slog"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/unip-knative/unip/cmd/unip/internal/image"
)

// An image is looked at for each platform that it has; what a builder has written beside them is none.
func TestPull(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo))))
	t.Cleanup(srv.Close)
	at := func(tag string) name.Reference {
		ref, err := name.ParseReference(srv.Listener.Addr().String() + "/ann/leaf:" + tag)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	index := v1.ImageIndex(empty.Index)
	var first v1.Image
	for _, p := range []v1.Platform{{OS: "linux", Architecture: "amd64"},
		{OS: "linux", Architecture: "arm64", Variant: "v8"}, {OS: "unknown", Architecture: "unknown"}} {
		img, err := random.Image(1024, 1)
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config = config.DeepCopy()
		config.OS, config.Architecture = p.OS, p.Architecture
		if img, err = mutate.ConfigFile(img, config); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = img
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p}})
	}
	if err := remote.WriteIndex(at("all"), index); err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(at("one"), first); err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(at("none"), empty.Index); err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string][]string{
		"all": {"linux/amd64", "linux/arm64/v8"}, "one": {"linux/amd64"}, "none": nil,
	} {
		images, err := image.Pull(t.Context(), at(tag).Name())
		var got []string
		for _, img := range images {
			got = append(got, img.Platform)
			if _, err := image.Look(img); err != nil {
				t.Errorf("%s: %v", tag, err)
			}
		}
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%s: %q, error %v", tag, got, err)
		}
	}
}
