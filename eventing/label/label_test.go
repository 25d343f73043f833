package label

import (
	"maps"
	"strings"
	"testing"
)

func TestCarried(t *testing.T) {
	t.Parallel()
	fine := map[string]string{"team": "flora", "example.org/Cost": "a_b.c", "app.kubernetes.io/version": "3",
		"notkubernetes.io/x": ""}
	given := maps.Clone(fine)
	given["app.kubernetes.io/name"] = "other"
	got, err := Carried(given)
	if err != nil || !maps.Equal(got, fine) {
		t.Errorf("%v %v", got, err)
	}
	for _, key := range []string{
		"job-name", "controller-uid",
		"kubernetes.io/x", "batch.kubernetes.io/x", "k8s.io/x", "networking.k8s.io/x", "serving.knative.dev/service",
		"knative.unified-platform.cs.hse.ru/run", "unified-platform.cs.hse.ru/x", "a b", "", "a/b/c",
	} {
		got, err := Carried(map[string]string{key: "x", "team": "flora"})
		if err == nil || !strings.Contains(err.Error(), "labels: "+key+": ") ||
			!maps.Equal(got, map[string]string{"team": "flora"}) {
			t.Errorf("%q: %v %v", key, got, err)
		}
	}
	if _, err := Carried(map[string]string{"team": "no value"}); err == nil {
		t.Error("a value with a blank is taken")
	}
}
