package cluster

import (
	"strings"
	"testing"

	"github.com/unip-knative/unip/translate/installation"
)

// An installation may have the images of a release elsewhere, and not others.
func TestReleasesThatDiffer(t *testing.T) {
	t.Parallel()
	release := func(inference, gateway, worker string) installation.Release {
		return installation.Release{Inference: inference, Gateway: gateway,
			Worker: map[string][]byte{"worker.py": []byte(worker)}}
	}
	installed := release("registry.example/inference@sha256:1", "registry.example/gateway@sha256:2", "w")
	for name, c := range map[string]struct {
		own  installation.Release
		want string
	}{
		"a release":           {release("ghcr.example/inference@sha256:1", "ghcr.example/gateway@sha256:2", "w"), ""},
		"a development build": {release("", "", "w"), ""},
		"another server": {release("x/inference@sha256:3", "x/gateway@sha256:2", "w"),
			"its image of inference is registry.example/inference@sha256:1"},
		"another gateway": {release("x/inference@sha256:1", "x/gateway@sha256:3", "w"), "its image of gateway"},
		"another worker":  {release("", "", "v"), "its worker is another one"},
	} {
		err := differs(c.own, installed)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
