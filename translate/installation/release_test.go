package installation_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/unip-knative/unip/translate/installation"
)

func TestReleaseIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	digest := "@sha256:" + strings.Repeat("1", 64)
	whole := installation.Release{
		Version:   "v1.2.3",
		Inference: "registry.example/inference" + digest, Gateway: "registry.example/gateway" + digest,
		Worker: map[string][]byte{"worker.py": []byte("import call\n"), "call.py": []byte("")},
	}
	if got, err := installation.ParseRelease(whole.Data()); err != nil || !reflect.DeepEqual(got, whole) {
		t.Errorf("%+v, %v", got, err)
	}
	for what, change := range map[string]func(*installation.Release){
		"inference-image": func(r *installation.Release) { r.Inference = "" },
		"gateway-image":   func(r *installation.Release) { r.Gateway = "registry.example/gateway:v1" },
		"no file":         func(r *installation.Release) { r.Worker = nil },
		`"ko://`: func(r *installation.Release) {
			r.Inference = "ko://github.com/unip-knative/unip/functions/inference"
		},
	} {
		r := whole
		change(&r)
		if _, err := installation.ParseRelease(r.Data()); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
