package digest_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/unip-knative/unip/cmd/unip/internal/digest"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
)

// component is a module of one component.
func component(image string) *module.Module {
	at := manifest.Position{File: "leaf.yaml", Line: 4, Column: 7}
	return &module.Module{Components: []module.Component{{Image: image, Places: module.Places{Image: at}}}}
}

// There are registries that answer no HEAD, and such that want a login.
func TestDigestsOfOtherRegistries(t *testing.T) {
	t.Parallel()
	images := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	var refuse func(r *http.Request) int
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse != nil {
			if code := refuse(r); code != 0 {
				w.WriteHeader(code)
				return
			}
		}
		images.ServeHTTP(w, r)
	}))
	defer s.Close()
	image := strings.TrimPrefix(s.URL, "http://") + "/ann/leaf:1"
	ref, err := name.ParseReference(image)
	if err != nil {
		t.Fatal(err)
	}
	content, err := random.Image(16, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, content); err != nil {
		t.Fatal(err)
	}
	hash, err := content.Digest()
	if err != nil {
		t.Fatal(err)
	}

	refuse = func(r *http.Request) int {
		if r.Method == http.MethodHead {
			return http.StatusMethodNotAllowed
		}
		return 0
	}
	before := component(image)
	m, found := digest.Pin(t.Context(), before)
	if want := image + "@" + hash.String(); m.Components[0].Image != want || len(found) > 0 {
		t.Errorf("no HEAD: %s, %v", m.Components[0].Image, found)
	}
	if before.Components[0].Image != image {
		t.Error("the module that was given is changed")
	}

	refuse = func(*http.Request) int { return http.StatusForbidden }
	m, found = digest.Pin(t.Context(), component(image))
	if len(found) != 1 || found[0].Severity != manifest.Warning || m.Components[0].Image != image ||
		!strings.HasPrefix(found[0].String(), "leaf.yaml:4:7: warning: the digest of "+image+" is not known") {
		t.Errorf("a login is wanted: %s, %v", m.Components[0].Image, found)
	}
}
