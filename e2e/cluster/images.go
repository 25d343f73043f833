package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// push puts an image into the instance's registry under the tag by which pods name it
// (registry.localhost:5000/…). Nothing is sent that is there.
func (i instance) push(ctx context.Context, tag string, img v1.Image) (digest string, err error) {
	ref, err := i.reference(tag)
	if err != nil {
		return "", err
	}
	if err := remote.Write(ref, img, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("pushing %s: %w", tag, err)
	}
	h, err := img.Digest()
	return h.String(), err
}

// reference turns a pod's name of an image into one that this machine reaches.
func (i instance) reference(tag string) (name.Reference, error) {
	pods, err := name.ParseReference(tag, name.Insecure)
	if err != nil {
		return nil, err
	}
	if got := pods.Context().RegistryStr(); got != registryName {
		return nil, fmt.Errorf("%s: only images of %s can be pushed", tag, registryName)
	}
	return name.ParseReference(i.registry()+"/"+pods.Context().RepositoryStr()+":"+pods.Identifier(), name.Insecure)
}

// image is an image for this machine's platform out of layers. Manifest, configuration and layers
// are all of Docker's media types: container engines refuse a mixture.
func image(config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", "amd64", config
	return mutate.ConfigFile(img, file)
}

// entry is a file or (with a trailing slash) a folder of a layer.
type entry struct {
	name string
	mode int64
	data []byte
}

// layerOf makes a layer of a few entries, the same bytes every time.
func layerOf(entries ...entry) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.data)), Typeflag: tar.TypeReg,
			Format: tar.FormatPAX}
		if e.name[len(e.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b.Bytes())),
			nil
	})
}

const (
	pauseImage = registryName + "/cluster/pause:1"
	// another number when its content changes: images built on it are made anew
	baseImage = registryName + "/cluster/base:2"
)

// pushBasics makes the two images that nothing works without: pause, which holds a pod's
// namespaces, and base, with what a static program needs beside it.
func (i instance) pushBasics(ctx context.Context) error {
	pause, err := i.compilePause(ctx)
	if err != nil {
		return err
	}
	layer, err := layerOf(entry{"pause", 0o755, pause})
	if err != nil {
		return err
	}
	img, err := image(v1.Config{Entrypoint: []string{"/pause"}, User: "65535"}, layer)
	if err != nil {
		return err
	}
	if _, err := i.push(ctx, pauseImage, img); err != nil {
		return err
	}
	certs, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		certs = nil // pods reach nothing outside anyway
	}
	zones, err := timeZones(ctx)
	if err != nil {
		return err
	}
	layer, err = layerOf(
		entry{zonesFile[1:], 0o644, zones},
		entry{"etc/", 0o755, nil}, entry{"etc/ssl/", 0o755, nil}, entry{"etc/ssl/certs/", 0o755, nil},
		entry{"etc/ssl/certs/ca-certificates.crt", 0o644, certs},
		entry{"etc/nsswitch.conf", 0o644, []byte("hosts: files dns\n")},
		entry{"etc/passwd", 0o644, []byte(
			"root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n" +
				"nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")},
		entry{"etc/group", 0o644, []byte("root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n")},
		entry{"home/", 0o755, nil}, entry{"home/nonroot/", 0o755, nil}, entry{"tmp/", 0o1777, nil},
	)
	if err != nil {
		return err
	}
	img, err = image(v1.Config{
		User: "65532:65532", WorkingDir: "/home/nonroot",
		Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
			"ZONEINFO=" + zonesFile},
	}, layer)
	if err != nil {
		return err
	}
	_, err = i.push(ctx, baseImage, img)
	return err
}

// zonesFile has the time zones, in the form in which Go brings them; Knative's webhook and its ping
// adapter look into it.
const zonesFile = "/zoneinfo.zip"

func timeZones(ctx context.Context) ([]byte, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("asking for Go's folder: %w", err)
	}
	return os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
}

func (i instance) compilePause(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "unip-pause")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "pause"),
		"./pause")
	cmd.Dir = filepath.Join(i.root, "e2e", "cluster")
	cmd.Env = goEnv()
	if err := logged(cmd, "build-pause"); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "pause"))
}
