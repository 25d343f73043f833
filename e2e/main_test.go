//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"text/template"
	"time"

	"github.com/unip-knative/unip/e2e/live"
)

const (
	digitsImage    = "registry.localhost:5000/examples/digits:v1"
	echoImage      = "registry.localhost:5000/e2e/echo:v1"
	user, password = "ann", "s3same"
)

var cluster *live.Cluster

func TestMain(m *testing.M) {
	var err error
	if cluster, err = live.Connect(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// component is what the tests vary of an MLComponent.
type component struct {
	Namespace, Image, Inference, Loader, Model string
	Files                                      string // a box for the files of its callers
	Always                                     bool   // a pod runs also while nobody calls
	Once                                       bool   // there is never a second pod
}

// echo is a component of the echo image that calls one of its functions.
func echo(inference string) component { return component{Image: echoImage, Inference: inference} }

var manifests = template.Must(template.New("").Parse(`
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: weights, namespace: {{.Namespace}}}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: other, namespace: {{.Namespace}}}
spec: {s3DefaultStorage: {capacity: 10M}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: model, namespace: {{.Namespace}}{{if .Always}}, annotations: {knative.unified-platform.cs.hse.ru/min-scale: "1"}{{end}}{{if .Once}}, annotations: {knative.unified-platform.cs.hse.ru/max-scale: "1"}{{end}}}
spec:
  image: {existingImageName: {{.Image}}}
  env: [{name: GREETING, value: hello}]
  mlService:
    inference: {{.Inference}}
{{- if .Loader}}
    modelLoader: {{.Loader}}
{{- end}}
{{- if .Model}}
    modelBox: weights
    modelPath: /models/{{.Model}}
  connectedBoxes:
    - {name: weights, mountS3Box: {s3Path: /, mountPath: /models, readOnly: true}}
{{- end}}
{{- if .Files}}
  connectedBoxes:
    - {name: {{.Files}}, mountS3Box: {mountPath: /files}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: files-api, namespace: {{.Namespace}}}
spec:
  published: true
  files: {}
  restfulApi: {auth: {basic: {credentials: users}}}
{{- end}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: model-api, namespace: {{.Namespace}}}
spec:
  published: true
  mlComponent: {name: model}
  restfulApi: {path: model, auth: {basic: {credentials: users}, identityPassThrough: true}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: users, namespace: {{.Namespace}}}
stringData: {ann: s3same}
`))

// cleared is a module of which nothing is left from an aborted run, and nothing will be left after
// the test.
func cleared(t *testing.T, ns string) *live.Module {
	t.Helper()
	m := cluster.Module(ns)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.Diagnose(context.Background()))
		}
		if err := m.Delete(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := m.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

// apply brings a module with this component onto the cluster; the end of the test deletes it and
// waits until it is gone.
func apply(t *testing.T, namespace string, c component) *live.Module {
	t.Helper()
	m := cleared(t, namespace)
	if err := m.Apply(t.Context(), write(t, namespace, c)); err != nil {
		t.Fatal(err)
	}
	return m
}

// write renders the manifests of a component into a folder.
func write(t *testing.T, namespace string, c component) string {
	t.Helper()
	c.Namespace = namespace
	var b bytes.Buffer
	if err := manifests.Execute(&b, c); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "module.yaml"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func awaitReady(t *testing.T, m *live.Module) {
	t.Helper()
	if err := m.AwaitReady(t.Context(), 3*time.Minute); err != nil {
		t.Fatal(err)
	}
}

// predict calls the component and wants the status.
func predict(t *testing.T, m *live.Module, want int, inputs ...live.Variable) *live.Answer {
	t.Helper()
	a, err := m.Predict(t.Context(), "model", user, password, inputs...)
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != want {
		t.Fatalf("predict answered %d, want %d: %s\n%s", a.Status, want, a.Body, m.Diagnose(t.Context()))
	}
	return a
}

func text(s string) live.Variable {
	data, _ := json.Marshal(s) // strings always encode
	return live.Variable{Name: "text", Datatype: "str", Data: data}
}

// problemType is the last part of a problem's type.
func problemType(t *testing.T, a *live.Answer) string {
	t.Helper()
	var p struct{ Type, Detail string }
	if err := json.Unmarshal(a.Body, &p); err != nil {
		t.Fatalf("not a problem: %d %s", a.Status, a.Body)
	}
	if p.Detail == "" {
		t.Errorf("problem without detail: %s", a.Body)
	}
	return filepath.Base(p.Type)
}
