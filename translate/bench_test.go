package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/unip-knative/unip/translate"
	"github.com/unip-knative/unip/translate/encode"
	"github.com/unip-knative/unip/translate/manifest"
)

// thousand is a module of a thousand components, as `make bench-translate` has it.
func thousand() []manifest.File {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `---
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata:
  name: component-%d
  namespace: pu-bench-pa-module
  annotations:
    knative.unified-platform.cs.hse.ru/max-scale: "3"
spec:
  image: {existingImageName: "registry.example.com/digits:v1"}
  env: [{name: THREADS, value: "2"}]
  mlService: {inference: "digits.predict:predict"}
  resourceLimits: {cpu: "1", memory: 512Mi}
`, i)
	}
	return []manifest.File{{Name: "module.yaml", Data: []byte(b.String())}}
}

// The three steps of a translation, a thousand documents each: reading alone, reading with all
// checks and objects, and writing.

func BenchmarkRead(b *testing.B) {
	files := thousand()
	b.ReportAllocs()
	for b.Loop() {
		if _, found := manifest.Read(files); found.Failed() {
			b.Fatal(found[0])
		}
	}
}

func BenchmarkTranslate(b *testing.B) {
	files := thousand()
	b.ReportAllocs()
	for b.Loop() {
		if _, found := translate.Translate(files, options()); found.Failed() {
			b.Fatal(found[0])
		}
	}
}

func BenchmarkYAML(b *testing.B) {
	objects, _ := translate.Translate(thousand(), options())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encode.YAML(objects); err != nil {
			b.Fatal(err)
		}
	}
}
