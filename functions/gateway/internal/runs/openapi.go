package runs

import (
	"net/http"
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/media"
	"github.com/unip-knative/unip/eventing/routes"
)

// object is any JSON object of the document.
type object = map[string]any

// OpenAPI gives the document of one pipeline's API, which is called at a path.
func (h *Handler) OpenAPI(w http.ResponseWriter, api routes.API, path string) {
	pipeline, spec := api.Target, api.Spec
	body := object{"type": "object", "properties": object{
		"inputs":  variablesSchema(spec.Inputs, true),
		"outputs": variablesSchema(spec.Outputs, false),
	}}
	var needed []string
	for _, section := range []string{"inputs", "outputs"} {
		if s := body["properties"].(object)[section].(object); len(s["required"].([]string)) > 0 {
			needed = append(needed, section)
		}
	}
	if len(needed) > 0 {
		body["required"] = needed
	}
	accepted := object{"type": "object", "properties": object{
		"run_id": object{"type": "string"}, "status": object{"type": "string"},
	}}
	operation := object{
		"summary": "Start a run of " + pipeline,
		"parameters": []any{
			object{"name": "Idempotency-Key", "in": "header", "schema": object{"type": "string", "maxLength": maxKey}},
		},
		"requestBody": object{"required": true, "content": object{"application/json": object{"schema": body}}},
		"responses": object{
			"202": object{
				"description": "the run is accepted; Location says where to look at it",
				"content":     object{"application/json": object{"schema": accepted}},
			},
			"400": object{"description": "an input or an output is wrong (RFC 9457)"},
			"401": object{"description": "who calls is not known"},
			"403": object{"description": refusals(api.Auth)},
		},
	}
	schemes, security := logins(api.Auth)
	operation["security"] = security
	writeJSON(w, http.StatusOK, object{
		"openapi": "3.1.0", "info": object{"title": pipeline, "version": "1"},
		"paths":      object{path + "/run": object{"post": operation}},
		"components": object{"securitySchemes": schemes},
	})
}

// refusals says for whom 403 is the answer.
func refusals(auth *routes.Auth) string {
	const page = "a page of another site makes a browser call (cross-origin)"
	if auth != nil && auth.OIDC != nil && len(auth.OIDC.Users)+len(auth.OIDC.Groups) > 0 {
		return "the API names users or groups, and the caller is none of them (not-allowed); or " + page
	}
	return page
}

// logins are the ways to log in, any of which is enough; nothing on an open API.
func logins(auth *routes.Auth) (schemes object, security []object) {
	schemes, security = object{}, []object{}
	if auth == nil {
		return schemes, security
	}
	if auth.Basic != nil {
		schemes["basic"] = object{"type": "http", "scheme": "basic"}
		security = append(security, object{"basic": []string{}})
	}
	if auth.OIDC != nil {
		schemes["bearer"] = object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
			"description": "a token of " + auth.OIDC.Issuer + " for the client " + auth.OIDC.ClientID}
		security = append(security, object{"bearer": []string{}})
	}
	return schemes, security
}

// variablesSchema is the schema of an object with a place for each variable.
func variablesSchema(all []routes.Variable, inputs bool) object {
	properties, required := object{}, []string{}
	for _, v := range all {
		form, pattern := placeForm(v.Datatypes, inputs)
		if inputs && len(v.ContentTypes) > 0 {
			form += "; of type " + strings.Join(v.ContentTypes, ", ")
		}
		if v.Description != "" {
			form = v.Description + "; " + form
		}
		properties[v.Name] = object{
			"type": "string", "description": form, "pattern": pattern, "x-datatypes": v.Datatypes,
			"x-content-types": v.ContentTypes,
		}
		if v.Required {
			required = append(required, v.Name)
		}
	}
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// placeForm says which form a variable's place has, in words and as a pattern.
func placeForm(datatypes []string, input bool) (words, pattern string) {
	file, folder := "a file, <box>/<group>/<file>", "a folder, <box>/<group>/"
	is := func(t string) bool { return len(datatypes) == 0 || slices.Contains(datatypes, t) }
	switch {
	case !input || !is(media.File):
		return folder, "^[^/]+/(.*/)?$"
	case !is(media.Folder):
		return file, "^[^/]+/.*[^/]$"
	}
	return file + ", or " + folder, "^[^/]+/"
}
