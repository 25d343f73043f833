package openapi

import "strings"

// object keeps the document readable as code; encoding/json sorts its keys, so the same input gives the same bytes.
type object = map[string]any

// Document is the OpenAPI 3.1 document of a component. title is the component's name.
func Document(title string, d Description) any {
	summary, _, _ := strings.Cut(d.Summary, "\n")
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": title, "version": "v1", "description": d.Summary},
		"paths": object{
			"/predict": object{"post": object{
				"operationId": "predict",
				"summary":     summary,
				"requestBody": object{"required": true, "content": object{"application/json": object{
					"schema": ref("Request"), "example": example(d.Inputs),
				}}},
				"responses": object{
					"200":     object{"description": "the function's outputs", "content": object{"application/json": object{"schema": ref("Answer")}}},
					"default": object{"description": "what went wrong (RFC 9457)", "content": object{"application/problem+json": object{"schema": ref("Problem")}}},
				},
			}},
		},
		"components": object{"schemas": object{
			"Request": object{
				"type": "object", "required": []string{"inputs"},
				"properties": object{
					"inputs":        variables(d.Inputs),
					"parameters":    object{"type": []string{"array", "object"}},
					"output_fields": object{"type": "array", "items": object{"type": "object", "required": []string{"name"}, "properties": object{"name": text(), "datatype": text()}}},
					"model_key":     object{"type": []string{"string", "null"}},
				},
			},
			"Answer":  object{"type": "object", "required": []string{"outputs"}, "properties": object{"outputs": variables(d.Outputs)}},
			"Problem": object{"type": "object", "properties": object{"type": text(), "title": text(), "status": object{"type": "integer"}, "detail": text(), "instance": text()}},
		}},
	}
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

func text() object { return object{"type": "string"} }

// variables is the schema of a list of inputs or outputs: any of the described ones; without a description, anything with a name and data.
func variables(all []Variable) object {
	if len(all) == 0 {
		return object{"type": "array", "items": object{"type": "object", "required": []string{"name", "data"}}}
	}
	var items []object
	var required []object
	for _, v := range all {
		properties := object{
			"name": object{"const": v.Name}, "data": data(v.Types), "content_type": text(),
			"shape": object{"type": []string{"array", "integer"}, "items": object{"type": "integer"}},
		}
		if len(v.Types) > 0 {
			properties["datatype"] = object{"enum": v.Types}
		}
		items = append(items, object{"type": "object", "title": v.Name, "description": v.Description, "required": []string{"name", "data"}, "properties": properties})
		if !v.Optional {
			required = append(required, object{"contains": object{"type": "object", "properties": object{"name": object{"const": v.Name}}}})
		}
	}
	list := object{"type": "array", "items": object{"anyOf": items}}
	if len(required) > 0 {
		list["allOf"] = required
	}
	return list
}

// data is the schema of a variable's data: flat lists of numbers, text, or an object.
func data(types []string) any {
	if len(types) == 0 {
		return true
	}
	var any []object
	for _, t := range types {
		switch {
		case t == "str", t == "FILE", t == "BYTES":
			any = append(any, object{"type": []string{"string", "array"}})
		case t == "dict":
			any = append(any, object{"type": []string{"object", "array"}})
		case t == "BOOL":
			any = append(any, object{"type": "array", "items": object{"type": "boolean"}})
		case strings.Contains(t, "INT"):
			any = append(any, object{"type": "array", "items": object{"type": "integer"}})
		default:
			any = append(any, object{"type": "array", "items": object{"type": "number"}})
		}
	}
	return object{"anyOf": any}
}

func example(inputs []Variable) object {
	list := []object{}
	for _, v := range inputs {
		e := object{"name": v.Name}
		kind := "str"
		if len(v.Types) > 0 {
			kind = v.Types[0]
		}
		e["datatype"] = kind
		switch kind {
		case "str", "FILE", "BYTES":
			e["data"] = "…"
		case "dict":
			e["data"] = object{}
		case "BOOL":
			e["data"], e["shape"] = []bool{true}, []int{1}
		default:
			e["data"], e["shape"] = []int{0}, []int{1}
		}
		list = append(list, e)
	}
	return object{"inputs": list}
}
