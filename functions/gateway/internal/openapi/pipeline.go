package openapi

import (
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/media"
	"github.com/unip-knative/unip/eventing/routes"
)

// maxKey is the longest Idempotency-Key.
const maxKey = 255

// pipeline describes the API of one pipeline.
func pipeline(api routes.API) object {
	spec := api.Spec
	body := having(object{
		"inputs":  variablesSchema(spec.Inputs, true),
		"outputs": variablesSchema(spec.Outputs, false),
	})
	var needed []string
	for section, all := range map[string][]routes.Variable{"inputs": spec.Inputs, "outputs": spec.Outputs} {
		if slices.ContainsFunc(all, func(v routes.Variable) bool { return v.Required }) {
			needed = append(needed, section)
		}
	}
	if slices.Sort(needed); len(needed) > 0 {
		body["required"] = needed
	}
	return object{"/run": object{"post": start(api, "Start a run of "+api.Target, nil, body)}}
}

// start is the call that starts a run.
func start(api routes.API, summary string, parameters []object, body object) object {
	parameters = append(parameters, in("header", "Idempotency-Key", "of two calls with the same one only the first starts a run",
		object{"type": "string", "maxLength": maxKey}))
	o := operation(summary, api.Auth, parameters, object{
		"202": answer("the run is accepted; Location says where to look at it",
			having(object{"run_id": text(), "status": text()}, "run_id", "status")),
		"400": trouble("an input or an output is wrong; errors point at it"),
	})
	o["requestBody"] = object{"required": true, "content": object{jsonType: object{"schema": body}}}
	return o
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
