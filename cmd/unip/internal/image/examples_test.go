package image_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/cmd/unip/internal/image"
)

// Each image of the examples that is theirs has its Dockerfile; another module's is left alone.
func TestExamplesHaveDockerfiles(t *testing.T) {
	t.Parallel()
	for example, want := range map[string]map[string]string{
		"digits": {"registry.localhost:5000/examples/digits:v1": "Dockerfile"},
		"drift":  {"registry.example/vera/drift-profile": "Dockerfile"},
		"leaves": {
			"registry.example/ann/leaves:3f2a91c":       "Dockerfile",
			"registry.example/ann/leaves-train:3f2a91c": "Dockerfile.train",
			"registry.example/vera/drift-profile@sha256:7d1f0c3a94be52688e21d7a05f36cb90e4a8b71d2c5f09e6831ba47fd0c25e9b": "",
		},
	} {
		dir := filepath.Join("../../../../examples", example)
		got := map[string]string{}
		for name := range want {
			sources, err := image.Sources([]string{name}, dir)
			if err != nil {
				t.Fatal(err)
			}
			got[name] = ""
			for _, s := range sources {
				got[name] = filepath.Base(s.Dockerfile)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", example, d)
		}
	}
}
