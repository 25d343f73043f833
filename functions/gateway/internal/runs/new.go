package runs

import (
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/routes"
)

// New completes a Handler with clients of the cluster. Nothing is cached: the gateway lives for a call or two.
func New(cfg *rest.Config, h *Handler) (*Handler, error) {
	scheme := runtime.NewScheme()
	if err := runtimev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	metav1.AddToGroupVersion(scheme, runtimev1.GroupVersion)
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = 50, 100
	var err error
	if h.Client, err = client.NewWithWatch(cfg, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	if h.Pods, err = kubernetes.NewForConfig(cfg); err != nil {
		return nil, err
	}
	return h, nil
}

// OpenAPI gives the document of one pipeline's API.
func (h *Handler) OpenAPI(w http.ResponseWriter, pipeline, path string, spec routes.Spec) {
	object := func(all []routes.Variable, inputs bool) map[string]any {
		properties, required := map[string]any{}, []string{}
		for _, v := range all {
			form := "a folder: <box>/<group>/"
			if inputs {
				form = "a file, <box>/<group>/<file>, or a folder, <box>/<group>/"
			}
			properties[v.Name] = map[string]any{"type": "string", "description": join(v.Description, form), "x-datatypes": v.Datatypes, "x-content-types": v.ContentTypes}
			if inputs && v.Required {
				required = append(required, v.Name)
			}
		}
		return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
	}
	answerSchema := map[string]any{"type": "object", "properties": map[string]any{"run_id": map[string]any{"type": "string"}, "status": map[string]any{"type": "string"}}}
	operation := map[string]any{
		"summary":    "Start a run of " + pipeline,
		"parameters": []any{map[string]any{"name": "Idempotency-Key", "in": "header", "schema": map[string]any{"type": "string", "maxLength": maxKey}}},
		"requestBody": map[string]any{"required": true, "content": map[string]any{"application/json": map[string]any{"schema": map[string]any{
			"type": "object", "properties": map[string]any{"inputs": object(spec.Inputs, true), "outputs": object(spec.Outputs, false)},
		}}}},
		"responses": map[string]any{
			"202": map[string]any{"description": "the run is accepted; Location says where to look at it", "content": map[string]any{"application/json": map[string]any{"schema": answerSchema}}},
			"400": map[string]any{"description": "an input or an output is wrong (RFC 9457)"}, "401": map[string]any{"description": "who calls is not known"},
		},
	}
	answer(w, http.StatusOK, map[string]any{
		"openapi": "3.1.0", "info": map[string]any{"title": pipeline, "version": "1"}, "paths": map[string]any{path + "/run": map[string]any{"post": operation}},
	})
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
