package runs

import (
	"net/http"

	"github.com/unip-knative/unip/eventing/routes"
)

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
