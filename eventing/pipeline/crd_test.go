package pipeline_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/unip-knative/unip/eventing/pipeline"
)

// find is what stands at a path in decoded YAML; a number in the path is an index in a list.
func find(t *testing.T, at any, way ...any) any {
	t.Helper()
	for i, step := range way {
		switch step := step.(type) {
		case string:
			at = at.(map[string]any)[step]
		case int:
			at = at.([]any)[step]
		}
		if at == nil {
			t.Fatalf("there is no %v", way[:i+1])
		}
	}
	return at
}

// The CRD of Pipelines has the limits of this package: the API server refuses what these rules
// refuse.
func TestTheCRDHasTheLimits(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../config/201-runtime.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var schema any
	for _, document := range strings.Split(string(b), "\n---\n") {
		var crd map[string]any
		if err := yaml.Unmarshal([]byte(document), &crd); err != nil {
			t.Fatal(err)
		}
		if crd != nil && find(t, crd, "spec", "names", "kind") == "Pipeline" {
			schema = find(t, crd, "spec", "versions", 0, "schema", "openAPIV3Schema")
		}
	}
	if schema == nil {
		t.Fatal("there is no CRD of Pipelines")
	}
	spec := find(t, schema, "properties", "spec", "properties")
	stage, variable := []any{"stages", "items", "properties"}, []any{"variables", "items", "properties"}
	for _, c := range []struct {
		way  []any
		want any
	}{
		{[]any{"stages", "minItems"}, 1},
		{[]any{"stages", "maxItems"}, pipeline.MaxStages},
		{[]any{"variables", "maxItems"}, pipeline.MaxVariables},
		{append(stage, "inputs", "maxItems"), pipeline.MaxVariables},
		{append(stage, "outputs", "maxItems"), pipeline.MaxVariables},
		{append(stage, "retries", "maximum"), pipeline.MaxRetries},
		{append(stage, "name", "pattern"), fmt.Sprintf("^[a-z0-9]([-a-z0-9]{0,%d}[a-z0-9])?$",
			pipeline.MaxStageName-2)},
		{append(variable, "name", "pattern"), fmt.Sprintf("^[A-Za-z][A-Za-z0-9_.-]{0,%d}$",
			pipeline.MaxVariableName-1)},
		{[]any{"continueWith", "pattern"}, fmt.Sprintf("^([a-z]([-a-z0-9]{0,%d}[a-z0-9])?)?$", pipeline.MaxName-2)},
	} {
		if got := find(t, spec, c.way...); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v is %v, want %v", c.way, got, c.want)
		}
	}
}
