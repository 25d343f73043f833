package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/unip-knative/unip/functions/inference/service"
)

func TestBoxFlags(t *testing.T) {
	t.Parallel()
	var b boxFlags
	for _, s := range []string{"weights:read", "visitors"} {
		if err := b.Set(s); err != nil {
			t.Error(err)
		}
	}
	if want := (boxFlags{{Name: "weights", ReadOnly: true}, {Name: "visitors"}}); !reflect.DeepEqual(b, want) {
		t.Errorf("%v, want %v", b, want)
	}
	for _, s := range []string{"", ":read", "a:", "a:write", "a:read:read"} {
		if err := b.Set(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

// A module whose names have been prefixed has boxes of prefixed names, too.
func TestFilesOfAPrefixedModule(t *testing.T) {
	t.Parallel()
	namespace := filepath.Join(t.TempDir(), "namespace")
	if err := os.WriteFile(namespace, []byte("pu-ann-staging"), 0o644); err != nil {
		t.Fatal(err)
	}
	o := options{component: "stage-leaf", name: "leaf", namespace: namespace, boxes: boxFlags{{Name: "visitors"}}}
	f, err := filesOf(o, slog.New(slog.DiscardHandler))
	if err != nil || !reflect.DeepEqual(f.Boxes, service.Boxes{{Name: "stage-visitors"}}) ||
		f.Namespace != "pu-ann-staging" {
		t.Errorf("%+v %v", f, err)
	}
	o.component = "leaf-stage"
	if _, err := filesOf(o, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a suffix is taken")
	}
}
