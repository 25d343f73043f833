package openapi

import (
	"net/http"
	"strings"
)

// object keeps the document readable as code; encoding/json sorts its keys, so the same input gives
// the same bytes.
type object = map[string]any

// Document is the OpenAPI 3.1 document of a component: predict, and the Open Inference Protocol
// below /v2. title is the component's name.
func Document(title string, d Description) any {
	summary, _, _ := strings.Cut(d.Summary, "\n")
	paths := object{
		"/predict": object{"post": object{
			"operationId": "predict",
			"summary":     summary,
			"requestBody": object{"required": true, "content": object{jsonType: object{"schema": ref("Request"),
				"example": object{"inputs": examples(d.Inputs)}}}},
			"responses": withEvents(responses("the function's outputs", ref("Answer"),
				object{"outputs": examples(d.Outputs)})),
		}},
	}
	inference(paths, title, summary, d)
	return object{
		"openapi":    "3.1.0",
		"info":       object{"title": title, "version": "v1", "description": d.Summary},
		"paths":      paths,
		"components": object{"schemas": schemas(d)},
	}
}

const jsonType = "application/json"

// responses of an operation: the good one, and problems.
func responses(description string, schema, example any) object {
	return object{
		"200": object{"description": description, "content": object{jsonType: object{"schema": schema,
			"example": example}}},
		"401": trouble("who calls is not known (unauthorized)"),
		"403": trouble("the API names users or groups, and the caller is none of them (not-allowed); a FILE, and " +
			"nobody calls (file-needs-user); or a page of another site makes a browser call (cross-origin)"),
		"default": object{"description": "what went wrong (RFC 9457)",
			"content": object{"application/problem+json": object{"schema": ref("Problem"), "example": failure}}},
	}
}

// withEvents adds that a good answer comes as server-sent events to who asks for them.
func withEvents(responses object) object {
	if good, ok := responses["200"].(object); ok {
		if content, ok := good["content"].(object); ok {
			content["text/event-stream"] = object{"schema": object{"type": "string",
				"description": "an event for each output, as an answer with that one, when the function gives it; then " +
					"the event end, or problem with what went wrong after the first"}}
		}
	}
	return responses
}

// trouble is a problem with a status of its own.
func trouble(description string) object {
	return object{"description": description,
		"content": object{"application/problem+json": object{"schema": ref("Problem")}}}
}

var failure = object{
	"type":  "https://unified-platform.cs.hse.ru/problems/invalid-request",
	"title": http.StatusText(http.StatusBadRequest), "status": http.StatusBadRequest,
	"detail": "an input must have a name", "errors": []object{{"pointer": "/inputs/0/name",
		"detail": "an input must have a name"}},
}

func schemas(d Description) object {
	all := object{
		"Request": object{
			"type": "object", "required": []string{"inputs"},
			"properties": object{
				"inputs":     variables(d.Inputs),
				"parameters": object{"type": []string{"array", "object", "null"}},
				"output_fields": object{"type": []string{"array", "null"},
					"items": object{"type": "object", "required": []string{"name"},
						"properties": object{"name": text(), "datatype": text()}}},
				"model_key": object{"type": []string{"string", "null"}},
			},
		},
		"Answer": object{"type": "object", "required": []string{"outputs"},
			"properties": object{"outputs": variables(d.Outputs)}},
		"Problem": object{"type": "object", "required": []string{"type", "title", "status"}, "properties": object{
			"type": text(), "title": text(), "status": object{"type": "integer"}, "detail": text(), "instance": text(),
			"errors": object{"type": "array", "items": object{"type": "object",
				"properties": object{"pointer": text(), "detail": text()}}},
			"error": object{"type": "string",
				"description": "below /v2: the detail again, as the Open Inference Protocol has it"},
		}},
	}
	inferenceSchemas(all, d)
	return all
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func text() object { return object{"type": "string"} }

// variables is the schema of a list of inputs or outputs: any of the described ones; without a
// description, anything with a name and data.
func variables(all []Variable) object {
	return list(all, func(v Variable) object {
		properties := object{
			"name": object{"const": v.Name}, "data": true, "content_type": text(),
			"shape": object{"type": []string{"array", "integer"}, "items": object{"type": "integer"}},
		}
		o := object{"type": "object", "title": v.Name, "description": v.Description,
			"required": []string{"name", "data"}, "properties": properties}
		if len(v.Types) == 0 {
			return o
		}
		properties["datatype"] = object{"enum": v.Types}
		var any []object
		for _, t := range v.Types {
			any = append(any, object{"properties": object{"datatype": object{"const": t}, "data": data(t)}})
		}
		o["anyOf"] = any
		return o
	})
}

// list is the schema of a list in which each variable stands that has a type and is not optional, each item in the
// form that item gives.
func list(all []Variable, item func(Variable) object) object {
	if len(all) == 0 {
		return object{"type": "array", "items": object{"type": "object", "required": []string{"name", "data"}}}
	}
	var items, required []object
	for _, v := range all {
		items = append(items, item(v))
		if !v.Optional && len(v.Types) > 0 { // without a type it cannot be called optional
			required = append(required, object{"contains": object{"type": "object",
				"properties": object{"name": object{"const": v.Name}}}})
		}
	}
	list := object{"type": "array", "items": object{"anyOf": items}}
	if len(required) > 0 {
		list["allOf"] = required
	}
	return list
}

// data is the schema of the data of a datatype: flat lists of numbers, a text or a list of texts, or an
// object.
func data(kind string) object {
	switch kind {
	case "FILE":
		return text()
	case "str", "BYTES":
		return object{"type": []string{"string", "array"}, "items": text()}
	case "dict":
		return object{"type": []string{"object", "array"}}
	default:
		return object{"type": "array", "items": element(kind)}
	}
}

// element is the schema of one element of a numeric datatype; null is NaN, and what JSON has in place
// of infinities.
func element(kind string) object {
	switch {
	case kind == "BOOL":
		return object{"type": "boolean"}
	case strings.Contains(kind, "INT"):
		return object{"type": "integer"}
	}
	return object{"type": []string{"number", "null"}}
}

func examples(all []Variable) []object {
	list := []object{}
	for _, v := range all {
		e := object{"name": v.Name}
		switch k := kind(v); k {
		case "str", "BYTES":
			e["datatype"], e["data"] = k, "text"
		case "FILE":
			e["datatype"], e["data"] = k, "group/file.bin"
		case "dict":
			e["datatype"], e["data"] = k, object{"key": "value"}
		default:
			e["datatype"], e["data"], e["shape"] = k, one(k), []int{1}
		}
		list = append(list, e)
	}
	return list
}

// one is a list of one number.
func one(kind string) any {
	if kind == "BOOL" {
		return []bool{true}
	}
	return []int{0}
}
