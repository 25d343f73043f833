package main

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"sigs.k8s.io/yaml"
)

const changelog = `# Changelog

## [Unreleased]

- soon

## [1.1.0] - 2026-12-01

### Added

- **a thing**

## [1.0.0] - 2026-11-01

Nothing worth a line.
`

func TestNotesAreOfTheVersion(t *testing.T) {
	t.Parallel()
	if got, err := notes(changelog, "1.1.0"); err != nil || got != "### Added\n\n- **a thing**\n" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := notes(changelog, unreleased); err != nil || got != "- soon\n" {
		t.Errorf("%q, %v", got, err)
	}
	for version, want := range map[string]string{
		"1.2.0": "no section `## [1.2.0] - DATE`", // nor is it 1.1.0's
		"1.0.0": "says nothing of [1.0.0]",
		"1":     "no section",
	} {
		if _, err := notes(changelog, version); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// The base is the same bytes each time, for each platform; it has certificates, and who runs the program
// is not root.
func TestBase(t *testing.T) {
	t.Parallel()
	platforms := []platform{{"linux", "amd64"}, {"linux", "arm64"}}
	first, err := base(platforms)
	if err != nil {
		t.Fatal(err)
	}
	second, err := base(platforms)
	if err != nil {
		t.Fatal(err)
	}
	one, _ := first.Digest()
	if two, _ := second.Digest(); one != two {
		t.Errorf("%s, and then %s", one, two)
	}
	index, err := first.IndexManifest()
	if err != nil || len(index.Manifests) != 2 || index.Manifests[1].Platform.Architecture != "arm64" {
		t.Fatalf("%+v, %v", index, err)
	}
	img, err := first.Image(index.Manifests[1].Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil || config.Architecture != "arm64" || config.Config.User != "65532:65532" {
		t.Errorf("%+v, %v", config, err)
	}
	if n := strings.Count(read(t, img, certificates[1:]), "BEGIN CERTIFICATE"); n < 100 {
		t.Errorf("%d authorities", n)
	}
}

// read is a file of an image.
func read(t *testing.T, img v1.Image, name string) string {
	t.Helper()
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if h.Name == name {
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
	}
}

const installed = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boxes.example.org}
spec: {description: 'a link {{key}}'}
---
# a comment
apiVersion: apps/v1
kind: Deployment
metadata: {name: unip-controller, labels: {app.kubernetes.io/part-of: unip}}
spec:
  replicas: 1
  template:
    spec:
      containers:
        - name: controller
          image: registry.example/unip/controller@sha256:12
          env:
            - {name: UNIP_VERSION, value: ""}
            - {name: UNIP_GATEWAY_IMAGE, value: registry.example/unip/gateway@sha256:34}
            - {name: POD, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
`

func TestChart(t *testing.T) {
	t.Parallel()
	o := options{version: "1.2.3", registry: "registry.example/unip", made: time.Unix(1e9, 0)}
	objects, err := parse([]byte(installed))
	if err != nil || len(objects) != 2 {
		t.Fatalf("%d objects, %v", len(objects), err)
	}
	o.stamp(objects)
	text, err := encode(objects)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"value: v1.2.3", "app.kubernetes.io/version: 1.2.3", "helm.sh/resource-policy: keep",
		"app.kubernetes.io/part-of: unip"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	values := map[string]any{}
	got, err := o.template(objects[1], values)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"replicas: {{ .Values.controller.replicas }}\n",
		"image: {{ .Values.registry }}/controller@sha256:12\n", "value: {{ .Values.registry }}/gateway@sha256:34\n"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	// Its own braces are not the chart's.
	got, err = o.template(objects[0], values)
	if err != nil || !strings.Contains(string(got), `a link {{ "{{" }}key}}`) {
		t.Errorf("%s, %v", got, err)
	}
	if part, _ := values["controller"].(map[string]any); part["replicas"] != 1.0 {
		t.Errorf("values are %v", values)
	}
	after, err := encode(objects)
	if err != nil || !bytes.Equal(after, text) {
		t.Errorf("the chart has changed what others use: %v\n%s", err, after)
	}
	first, err := o.chart(objects)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := o.chart(objects); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the chart is another one each time: %v", err)
	}
}

// What the linker brings into a program is text without spaces, and short enough for a command line.
func TestEmbed(t *testing.T) {
	t.Parallel()
	got, err := embed([]byte(strings.Repeat(installed, 100)))
	if err != nil || strings.ContainsAny(got, " \n'\"") || got == "" {
		t.Errorf("%q, %v", got, err)
	}
	var v map[string]any
	if err := yaml.Unmarshal([]byte("a: "+got), &v); err != nil || v["a"] != got {
		t.Error(err)
	}
}
