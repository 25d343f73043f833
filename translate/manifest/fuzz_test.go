package manifest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/unip-knative/unip/translate/manifest"
)

// Whatever the bytes: reading ends, every finding has its file, findings come sorted, and every
// object that was read has a name and a namespace.
func FuzzRead(f *testing.F) {
	seeds, err := filepath.Glob("../testdata/*/in.yaml")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, s := range seeds {
		b, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	const head = "apiVersion: unified-platform.cs.hse.ru/v1\nkind: DataBox\nmetadata: {name: a, namespace: b}\n"
	for _, s := range []string{
		"", "\ufeff", "---\n---\n...\n", "%YAML 1.1\n---\na", "\x00", "a: \xff", "? [a]\n: b", "!!binary aGk=",
		"a: .inf", "a: 1_000", "a: 0o17", "- - - -",
		head + "spec: &a {s3DefaultStorage: *a}", head + "spec: {<<: &a [*a]}", head + "spec: {<<: 1}",
		head + "spec: !x {}", "!x\n" + head + "spec: {}\n", "!x\n" + strings.Replace(head, "DataBox", "Secret", 1),
		head + "spec: {s3DefaultStorage: {capacity: 1e999999999}}",
		strings.Repeat("[", 2000), strings.Repeat("a: {", 500), "apiVersion: v1\nkind: [a]",
		"apiVersion: v1\nkind: X\nmetadata: {name: {}}", "{\"apiVersion\": \"v1\"}{\"kind\":1} {", "{\"a\":\"\\ud83c\\udf3f\\/\"}\n---\n{}",
		"\xff\xfea\x00:\x00", "a\x00", "---\n\ufeff---\n\ufeffa: b", head + "x-a: &a {}\nspec: {s3DefaultStorage: *a}",
		head + "spec: {s3DefaultStorage: {capacity: 0x10}}", head + "spec: {s3D\u0435faultStorage: 1_0}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, found := manifest.Read([]manifest.File{{Name: "f", Data: b}})
		for _, d := range found {
			if d.File != "f" || d.Message == "" || d.Line < 0 || d.Column < 0 {
				t.Errorf("finding without place or message: %#v", d)
			}
		}
		sorted := slices.Clone(found)
		sorted.Sort()
		if !slices.Equal(found, sorted) {
			t.Errorf("findings are not sorted: %v", found)
		}
		for _, h := range m.Heads() {
			if h.Meta.Name.Value == "" || h.Meta.Namespace.Value == "" || h.Line < 1 {
				t.Errorf("%s without name, namespace or place: %+v", h.Kind, h)
			}
		}
	})
}
