//go:build e2e

package release

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// machines are the processors of images, as programs name them.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// archived are the images in the archive, by name: of each one for each platform.
func archived(t *testing.T) map[string][]v1.Image {
	t.Helper()
	dir := t.TempDir()
	output(t.Context(), t, nil, "tar", "-xf", one(t, "unip-images-*.tar"), "-C", dir)
	from, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := from.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]v1.Image{}
	for _, d := range manifest.Manifests {
		short := d.Annotations["org.opencontainers.image.ref.name"]
		if all[short], err = imagesOf(index, d); err != nil {
			t.Fatalf("%s: %v", short, err)
		}
	}
	return all
}

// imagesOf are those that an entry leads to: itself, or those of an index of several platforms.
func imagesOf(index v1.ImageIndex, d v1.Descriptor) ([]v1.Image, error) {
	if !d.MediaType.IsIndex() {
		image, err := index.Image(d.Digest)
		return []v1.Image{image}, err
	}
	of, err := index.ImageIndex(d.Digest)
	if err != nil {
		return nil, err
	}
	manifest, err := of.IndexManifest()
	if err != nil {
		return nil, err
	}
	var all []v1.Image
	for _, d := range manifest.Manifests {
		image, err := of.Image(d.Digest)
		if err != nil {
			return nil, err
		}
		if config, err := image.ConfigFile(); err != nil || config.Architecture != d.Platform.Architecture {
			return nil, fmt.Errorf("the index calls it one for %s: %w", d.Platform, err)
		}
		all = append(all, image)
	}
	return all, nil
}

// The images are for all processors that the release has programs for on Linux, each with a program of
// that processor's, and nobody in it is root.
func TestImages(t *testing.T) {
	all := archived(t)
	if len(all) < 4 {
		t.Errorf("%d images", len(all))
	}
	for short, images := range all {
		var of []string
		for _, image := range images {
			config, err := image.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			of = append(of, config.Architecture)
			if config.OS != "linux" || config.Config.User != "65532:65532" {
				t.Errorf("%s is for %s, of user %q", short, config.OS, config.Config.User)
			}
			if got := machineOf(t, image); got != machines[config.Architecture] {
				t.Errorf("%s for %s has a program for %v", short, config.Architecture, got)
			}
		}
		slices.Sort(of)
		if !slices.Equal(of, platforms(t)) {
			t.Errorf("%s is for %q, and programs are for %q", short, of, platforms(t))
		}
	}
}

// platforms are the processors that there are programs for, on Linux.
func platforms(t *testing.T) []string {
	t.Helper()
	files, err := os.ReadDir(dist())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		if _, arch, ok := strings.Cut(f.Name(), "-linux-"); ok {
			all = append(all, strings.TrimSuffix(arch, ".tar.gz"))
		}
	}
	slices.Sort(all)
	return all
}

// machineOf is the processor of an image's program.
func machineOf(t *testing.T, image v1.Image) elf.Machine {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		content, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		defer content.Close()
		for r := tar.NewReader(content); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(strings.TrimPrefix(h.Name, "/"), "ko-app/") || h.Typeflag != tar.TypeReg {
				continue
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			program, err := elf.NewFile(bytes.NewReader(b))
			if err != nil {
				t.Fatalf("%s: %v", h.Name, err)
			}
			return program.Machine
		}
	}
	t.Fatal("there is no program in the image")
	return 0
}

// What unip.yaml names is what its registry has, for all platforms. `make release-check PUSH=1` has brought
// it there.
func TestPushed(t *testing.T) {
	whole, err := os.ReadFile(dist("unip.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	images := references(string(whole))
	all := archived(t)
	if len(images) != len(all) {
		t.Errorf("unip.yaml names %q, and the archive has %d images", images, len(all))
	}
	for _, image := range images {
		pull(t.Context(), t, image, platforms(t))
	}
}

// references are the images that YAML names by digest.
func references(text string) []string {
	var all []string
	for word := range strings.FieldsSeq(text) {
		if strings.Contains(word, "@sha256:") && !slices.Contains(all, word) {
			all = append(all, word)
		}
	}
	return all
}

// pull reads all of an image, as a node of each platform does: what comes is compared with its digest.
func pull(ctx context.Context, t *testing.T, image string, archs []string) {
	t.Helper()
	ref, err := name.NewDigest(image)
	if err != nil {
		t.Fatal(err)
	}
	for _, arch := range archs {
		got, err := remote.Image(ref, remote.WithContext(ctx), remote.WithPlatform(v1.Platform{OS: "linux",
			Architecture: arch}))
		if err != nil {
			t.Errorf("%s for %s: %v", image, arch, err)
			continue
		}
		if m := machineOf(t, got); m != machines[arch] {
			t.Errorf("%s for %s has a program for %v", image, arch, m)
		}
	}
}
