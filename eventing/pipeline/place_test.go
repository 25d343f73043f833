package pipeline_test

import (
	"strings"
	"testing"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/pipeline"
)

func TestOutputPlaces(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]databox.Place{
		"models/":        {Box: "b", Developer: true, Path: "models/"},
		"/models/v1/":    {Box: "b", Developer: true, Path: "models/v1/"},
		"users/models/":  {Box: "b", Path: "models/"},
		"users/ann/":     {Box: "b", Path: "ann/"},
		"usersand/x/":    {Box: "b", Developer: true, Path: "usersand/x/"},
		"models/users/":  {Box: "b", Developer: true, Path: "models/users/"},
		"users/users/x/": {Box: "b", Path: "users/x/"},
	} {
		if got, err := pipeline.OutputPlace(runtimev1.BoxPath{Box: "b", Path: path}); err != nil || got != want {
			t.Errorf("%q: %+v, %v", path, got, err)
		}
	}
	for _, path := range []string{"", "/", "models", "users", "users/", "/users/", "users//", "users/../x/",
		"a/../users/x/",
		"users/ann/file_groups/g/", "./x/", "a\x00/", strings.Repeat("a", databox.MaxPath) + "b/"} {
		if got, err := pipeline.OutputPlace(runtimev1.BoxPath{Box: "b", Path: path}); err == nil {
			t.Errorf("%q is %+v", path, got)
		}
	}
}

// A value lies below the mountPath of the longest entry that has it: in the developer's area, or below
// users/ for what is among the files of the run's own user.
func TestMountedAt(t *testing.T) {
	t.Parallel()
	mounts := []runtimev1.Mount{
		{Box: "w", MountPath: "/weights/"}, {Box: "w", Path: "base", MountPath: "/base"},
		{Box: "w", Path: "/base/deep/", MountPath: "/deep"}, {Box: "u", Path: "users", MountPath: "/visitors"},
		{Box: "u", Path: "users/in", MountPath: "/in"}, {Box: "d", MountPath: "/herbarium"},
	}
	for place, want := range map[string]pipeline.Mounted{
		"w:/x.pt": {"/weights/x.pt", "/weights"}, "w:/a/": {"/weights/a", "/weights"},
		"w:/base/": {"/base", "/base"}, "w:/base/x": {"/base/x", "/base"},
		"w:/based/x": {"/weights/based/x", "/weights"},
		"w:/base":    {"/weights/base", "/weights"}, "w:/base/deep/a/b": {"/deep/a/b", "/deep"},
		"w/g/f": {"/weights/users/g/f", "/weights"}, "u/g/f": {"/visitors/g/f", "/visitors"}, "u/in/": {"/in", "/in"},
		"u/in/t.csv": {"/in/t.csv", "/in"}, "u/inner/t.csv": {"/visitors/inner/t.csv", "/visitors"}, "u:/x": {},
		"o/g/f": {},
		"d:/":   {"/herbarium", "/herbarium"}, "d:/leaves/": {"/herbarium/leaves", "/herbarium"},
	} {
		p, err := databox.ParsePlace(place)
		if err != nil {
			t.Fatal(err)
		}
		if got := pipeline.MountedAt(mounts, p); got != want {
			t.Errorf("%s: %+v, want %+v", place, got, want)
		}
	}
}

// Names are uploaders': what they make of a path is looked at, too.
func TestMountedPathsThatNoContainerHas(t *testing.T) {
	t.Parallel()
	for _, m := range []pipeline.Mounted{
		{"/data/a:b", "/data"}, {"/data/a\nb", "/data"}, {"/data/" + strings.Repeat("n", 256), "/data"},
		{"/data/x", "/"},
		{"/data/..", "/data"}, {"/etc/x", "/etc"}, {"/unip/data/x", "/unip/data"},
		{"/data" + strings.Repeat("/nnnnnnn", 128), "/data"},
	} {
		if m.Check() == nil {
			t.Errorf("%+v is taken", m)
		}
	}
	if err := (pipeline.Mounted{Path: "/data/a b$(x)", Mount: "/data"}).Check(); err != nil {
		t.Error(err)
	}
}
