package translate

import (
	"testing"

	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
)

// What Knative says of a field of the Service points at the line of the manifest that the field was
// made of.
func TestOrigin(t *testing.T) {
	t.Parallel()
	m, found := Decide([]manifest.File{{Name: "f", Data: []byte(`apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata:
  name: leaf
  namespace: ns
  annotations:
    knative.unified-platform.cs.hse.ru/min-scale: "3"
spec:
  image:
    existingImageName: a/b
  servicePort: 8100
  env:
  - {name: A, value: x}
  - {name: B, value: y}
  envFrom:
  - secretRef: {name: s}
  mlService:
    inference: a:b
    modelPath: /m/x
    modelBox: b
  resourceLimits:
    cpu: "1"
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: b, namespace: ns}
spec: {s3DefaultStorage: {}}
`)}}, Options{Config: installation.Default()})
	if found.Failed() {
		t.Fatal(found)
	}
	for path, line := range map[string]int{
		"spec.template.spec.containers[1].image":                                               10,
		"spec.template.spec.containers[1].env[1].name":                                         14,
		"spec.template.spec.containers[1].env[9].name":                                         1,
		"spec.template.spec.containers[1].envFrom[0].secretRef.name":                           16,
		"spec.template.spec.containers[1].resources.limits[cpu]":                               22,
		"spec.template.spec.containers[1].volumeMounts[2].mountPath":                           19,
		"spec.template.spec.containers[0].ports[0].containerPort":                              11,
		"spec.template.spec.containers[0].image":                                               1,
		"spec.template.metadata.annotations.[autoscaling.knative.dev/min-scale]":               7,
		"spec.template.metadata.annotations.[autoscaling.knative.dev/scale-down-delay], x.y.z": 1,
		"spec.template.spec.containerConcurrency":                                              1,
		"": 1,
	} {
		if got := origin(&m.Components[0], path); got.Line != line {
			t.Errorf("%s comes from line %d, want %d", path, got.Line, line)
		}
	}
}
