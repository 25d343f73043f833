package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// base is what lies in an image beside the program: the certificates of authorities, and who runs
// it. All of it comes of the modules in go.sum, so an image is made of a commit and of nothing else.
func base(platforms []platform) (v1.ImageIndex, error) {
	layer, err := baseLayer()
	if err != nil {
		return nil, err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		img := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
		file, err := img.ConfigFile()
		if err != nil {
			return nil, err
		}
		file = file.DeepCopy()
		file.OS, file.Architecture = p.os, p.arch
		file.Config = v1.Config{
			User: "65532:65532", WorkingDir: "/",
			Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "SSL_CERT_FILE=" + certificates},
		}
		if img, err = mutate.ConfigFile(img, file); err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: p.os, Architecture: p.arch},
		}})
	}
	return index, nil
}

const certificates = "/etc/ssl/certs/ca-certificates.crt"

func baseLayer() (v1.Layer, error) {
	var roots bytes.Buffer
	for r := range bundle.Roots() {
		if r.Constraint != nil {
			continue // a file of certificates cannot say until when this authority is trusted
		}
		if err := pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate}); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name string
		mode int64
		text string
	}{
		{"etc/", 0o755, ""}, {"etc/ssl/", 0o755, ""}, {"etc/ssl/certs/", 0o755, ""},
		{certificates[1:], 0o644, roots.String()},
		{"etc/nsswitch.conf", 0o644, "hosts: files dns\n"},
		{"etc/passwd", 0o644, "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"},
		{"etc/group", 0o644, "root:x:0:\nnonroot:x:65532:\n"},
		{"tmp/", 0o1777, ""},
	} {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.text)), Format: tar.FormatPAX}
		h.Typeflag = tar.TypeReg
		if f.name[len(f.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
}
