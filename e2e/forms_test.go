//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// What stands beside the component: a Secret of which it takes a key, where its source is, and how
// many instances there are.
const besideAFile = `---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: settings, namespace: NS}
spec: {stringData: {token: s5same}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Repository
metadata: {name: source, namespace: NS}
spec: {url: "https://git.example/ann/model", revision: 3f2a91c, imagePullSecrets: [{name: registry}]}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: registry, namespace: NS}
spec: {type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: '{"auths": {}}'}}
---
apiVersion: autoscaler.unified-platform.cs.hse.ru/v1alpha1
kind: ScalingConfig
metadata: {name: model, namespace: NS}
spec:
  target: {kind: deployment, name: model-deployment, namespace: NS}
  states: [{replicas: 1}, {replicas: 2}]
  scalingOptions: {cooldown: 30, hibernationEnabled: true}
`

// A component whose function is a file of the image is called like any other; it has the key of a
// Secret, its labels, its instances and its module's revision.
func TestFunctionInAFile(t *testing.T) {
	t.Parallel()
	const ns = "pu-e2e-pa-file"
	m := cleared(t, ns)
	dir := write(t, ns, echo("/app/echo.py:surroundings"))
	file := filepath.Join(dir, "module.yaml")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		"env: [{name: GREETING, value: hello}]",
		"env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: settings, key: token}}}]",
		"{name: model, namespace: "+ns, "{labels: {team: flora}, name: model, namespace: "+ns,
	).Replace(string(b)) + strings.ReplaceAll(besideAFile, "NS", ns)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, m)
	var env map[string]string
	if err := predict(t, m, http.StatusOK).Output("env", &env); err != nil || env["TOKEN"] != "s5same" {
		t.Errorf("TOKEN is %q, %v", env["TOKEN"], err)
	}
	var s servingv1.Service
	if err := m.Cluster.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "model"}, &s); err != nil {
		t.Fatal(err)
	}
	template := s.Spec.Template
	for _, x := range []struct {
		of, key, want string
		all           map[string]string
	}{
		{"the Service", "team", "flora", s.Labels},
		{"the Service", "app.kubernetes.io/version", "3f2a91c", s.Labels},
		{"the pods", "team", "flora", template.Labels},
		{"the pods", "autoscaling.knative.dev/min-scale", "0", template.Annotations},
		{"the pods", "autoscaling.knative.dev/max-scale", "2", template.Annotations},
		{"the pods", "autoscaling.knative.dev/scale-down-delay", "30s", template.Annotations},
	} {
		if got := x.all[x.key]; got != x.want {
			t.Errorf("%s of %s is %q, not %q", x.key, x.of, got, x.want)
		}
	}
}

// A chain of two pipelines with one joint API, and the second of them alone with an API of its own.
func TestPipelinesOneAfterTheOther(t *testing.T) {
	t.Parallel()
	const ns = "pu-e2e-pa-chain"
	first := pipelineOf(ns, "part-1", "table middle", "", stage("train", "table", "middle",
		`cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_MIDDLE/trained"`))
	first = strings.Replace(first, "  connectedBoxes:",
		"  continueWith: {experimentPipeline: {name: part-2}}\n  connectedBoxes:", 1)
	second := pipelineOf(ns, "part-2", "middle result", "", stage("report", "middle", "result",
		`for f in "$UNIP_PIPELINE_MIDDLE"/*; do echo "report of $(cat "$f")"; done > "$UNIP_PIPELINE_RESULT/report"`))
	second = strings.Replace(second, "inputs: [{name: table}]", "inputs: [{name: middle}]", 1)
	m := applyRuns(t, ns, first, second)
	upload(t, m, "userdata/in/t.csv", "rows")
	for name, x := range map[string]struct {
		path, inputs string
		stages       int
	}{
		"the chain":               {"part-1", `"table": "userdata/in/t.csv"`, 2},
		"the chain, by all":       {"pipelines/part-1", `"table": "userdata/in/t.csv"`, 2},
		"the second alone":        {"part-2", `"middle": "userdata/in/"`, 1},
		"the second alone by all": {"pipelines/part-2", `"middle": "userdata/in/"`, 1},
	} {
		place := "userdata/" + strings.NewReplacer(" ", "-", ",", "").Replace(name) + "/"
		id := start(t, m, x.path, fmt.Sprintf(`{"inputs": {%s}, "outputs": {"result": %q}}`, x.inputs, place), "")
		run := awaitRun(t, m, id, runtimev1.Succeeded)
		if len(run.Status.Stages) != x.stages {
			t.Errorf("%s: %d stages: %+v", name, len(run.Status.Stages), run.Status.Stages)
		}
		got := resultFiles(t, m, place)
		delete(got, "run.json")
		if want := map[string]string{"report": "report of rows\n"}; !maps.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	runs, err := m.Runs(t.Context())
	if err != nil || len(runs) != 4 {
		t.Errorf("%d runs, want one a call, %v", len(runs), err)
	}
	// What is between the two is not a caller's to name by the joint API.
	a, err := m.Call(t.Context(), live.Request{Method: http.MethodPost, Path: "/" + ns + "/part-1/run", User: user,
		Password: password, Body: map[string]any{
			"inputs": map[string]string{"table": "userdata/in/t.csv", "middle": "userdata/in/"},
		}})
	if err != nil || a.Status != http.StatusBadRequest || problemType(t, a) != "bad-request" {
		t.Errorf("%v, %v", a, err)
	}
}
