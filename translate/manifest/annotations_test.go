package manifest_test

import (
	"slices"
	"testing"

	"github.com/unip-knative/unip/translate/manifest"
)

// of reads an annotation of an object, and says whether its text is taken.
func of[T any](s manifest.Setting[T]) func(text string) (value any, taken bool) {
	return func(text string) (any, bool) {
		var found manifest.Diagnostics
		m := &manifest.Meta{Annotations: map[string]manifest.Text{s.Name: {Value: text}}}
		v, set := s.Of(m, &found)
		return v, set && len(found) == 0
	}
}

// What the table says of a value's bounds is what is taken; each annotation is tried.
func TestBoundsOfAnnotations(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{}
	for _, c := range []struct {
		a              manifest.Annotation
		value          func(text string) (any, bool)
		taken, refused []string
	}{
		{manifest.MinScale.Annotation, of(manifest.MinScale), []string{"0", "1000"}, []string{"-1", "1001", "one", ""}},
		{manifest.MaxScale.Annotation, of(manifest.MaxScale), []string{"0", "1000"}, []string{"-1", "1001", "1.5"}},
		{manifest.Concurrency.Annotation, of(manifest.Concurrency), []string{"1", "1000"}, []string{"0", "1001"}},
		{
			manifest.Timeout.Annotation, of(manifest.Timeout),
			[]string{"1", "1s", "600", "10m"}, []string{"0", "601", "10m1s", "1.5s", "soon", "-1"},
		},
		{
			manifest.ScaleDownDelay.Annotation, of(manifest.ScaleDownDelay),
			[]string{"0s", "1h", "90s"}, []string{"90", "1h1s", "1.5s", "-1s", ""},
		},
		{manifest.Workers.Annotation, of(manifest.Workers), []string{"1", "64"}, []string{"0", "65"}},
		{manifest.AnonymousCalls.Annotation, of(manifest.AnonymousCalls), []string{"Allow", "Refuse"},
			[]string{"allow", ""}},
		{manifest.Mounts.Annotation, of(manifest.Mounts), []string{"on", "off"}, []string{"On", "false", ""}},
		{manifest.ModelUpdates.Annotation, of(manifest.ModelUpdates), []string{"swap", "restart", "off"},
			[]string{"Swap", ""}},
		{
			manifest.Origins.Annotation, of(manifest.Origins),
			[]string{"none", "https://app.example.org", "https://app.example.org, http://localhost:3000"},
			[]string{"", "*", "null", "app.example.org", "https://app.example.org/", "https://A.example",
				"https://app.example.org,", "none,https://app.example.org", "https://*.example.org"},
		},
		{manifest.SharedWith.Annotation, of(manifest.SharedWith), []string{"", "a-*,b"}, nil},
		{manifest.Developers.Annotation, of(manifest.Developers), []string{"oidc:ann", "oidc:ann, basic:users/boris"},
			[]string{"ann", "*", "oidc:", "oidc:anonymous", "anonymous", "basic:users/anonymous", "basic:ann",
				"oidc:a,,"}},
		{manifest.DatasetSharedWith.Annotation, of(manifest.DatasetSharedWith), []string{"", "a-*,b"}, nil},
		{manifest.MaxParallelRuns.Annotation, of(manifest.MaxParallelRuns), []string{"0", "1000"},
			[]string{"-1", "1001"}},
		{
			manifest.StageTimeout.Annotation, of(manifest.StageTimeout),
			[]string{"1", "720h"}, []string{"0", "720h0m1s", "1.5s"},
		},
		{manifest.OnUpload.Annotation, of(manifest.OnUpload), []string{"[]"}, nil},
		{manifest.Schedule.Annotation, of(manifest.Schedule), []string{"@daily"}, nil},
	} {
		tried[c.a.Kind+" "+c.a.Name] = true
		for _, text := range c.taken {
			if _, ok := c.value(text); !ok {
				t.Errorf("%s: %q is refused; bounds: %s", c.a.Name, text, c.a.Bounds)
			}
		}
		for _, text := range c.refused {
			if v, ok := c.value(text); ok {
				t.Errorf("%s: %q is taken, as %v; bounds: %s", c.a.Name, text, v, c.a.Bounds)
			}
		}
	}
	for _, a := range manifest.Annotations {
		if !tried[a.Kind+" "+a.Name] {
			t.Errorf("%s of %s was not tried", a.Name, a.Kind)
		}
		if !slices.ContainsFunc(manifest.Kinds, func(k manifest.Kind) bool { return k.Name == a.Kind }) {
			t.Errorf("%s is of a kind %q, which there is not", a.Name, a.Kind)
		}
	}
}
