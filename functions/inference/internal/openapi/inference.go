package openapi

// inference adds the paths of the Open Inference Protocol. Those with a version in them answer the
// same and are left out.
func inference(paths object, name, summary string, d Description) {
	model := "/v2/models/" + name
	get := func(path, id, summary string, schema, example any) {
		paths[path] = object{"get": object{"operationId": id, "summary": summary, "tags": tags,
			"responses": responses(summary, schema, example)}}
	}
	yes := func(names ...string) object {
		properties, required := object{}, []string{}
		for _, n := range names {
			properties[n], required = object{"type": "boolean"}, append(required, n)
		}
		return object{"type": "object", "required": required, "properties": properties}
	}
	get("/v2", "serverMetadata", "the server and its extensions",
		object{"type": "object", "required": []string{"name", "version", "extensions"}, "properties": object{
			"name": text(), "version": text(), "extensions": object{"type": "array", "items": text()},
		}}, object{"name": "unip", "version": "v1", "extensions": []string{"binary_tensor_data"}})
	get("/v2/health/live", "serverLive", "the server answers", yes("live"), object{"live": true})
	get("/v2/health/ready", "serverReady", "the function is imported, and its model loaded if it exists",
		yes("live", "ready"), object{"live": true, "ready": true})
	get(model, "modelMetadata", "the component's inputs and outputs", ref("ModelMetadata"), Metadata(name, d))
	get(model+"/ready", "modelReady", "as /v2/health/ready",
		object{"type": "object", "required": []string{"name", "ready"},
			"properties": object{"name": text(), "ready": object{"type": "boolean"}}},
		object{"name": name, "ready": true})
	binary := object{"schema": object{"type": "string",
		"description": "the JSON object, its length in the header Inference-Header-Content-Length, and the binary tensors behind it"}}
	answers := responses("the outputs", ref("InferenceAnswer"),
		object{"model_name": name, "model_version": ModelVersion, "outputs": tensorExamples(d.Outputs)})
	if good, ok := answers["200"].(object); ok {
		if content, ok := good["content"].(object); ok {
			content["application/octet-stream"] = binary
		}
		good["headers"] = object{headLength: object{"schema": object{"type": "integer"}}}
	}
	withEvents(answers)
	paths[model+"/infer"] = object{"post": object{
		"operationId": "infer", "summary": summary, "tags": tags,
		"parameters": []object{{"name": headLength, "in": "header", "required": false,
			"schema": object{"type": "integer", "minimum": 1}}},
		"requestBody": object{"required": true, "content": object{
			jsonType: object{"schema": ref("InferenceRequest"),
				"example": object{"id": "42", "inputs": tensorExamples(d.Inputs)}}, "application/octet-stream": binary,
		}},
		"responses": answers,
	}}
}

const headLength = "Inference-Header-Content-Length"

var tags = []string{"Open Inference Protocol"}

func inferenceSchemas(all object, d Description) {
	parameters := object{"type": []string{"object", "null"}}
	all["InferenceRequest"] = object{"type": "object", "required": []string{"inputs"}, "properties": object{
		"id": object{"type": []string{"string", "null"}}, "parameters": parameters, "inputs": tensorList(d.Inputs),
		"outputs": object{"type": []string{"array", "null"},
			"items": object{"type": "object", "required": []string{"name"},
				"properties": object{"name": text(), "parameters": parameters}}},
	}}
	all["InferenceAnswer"] = object{"type": "object", "required": []string{"model_name", "outputs"},
		"properties": object{
			"model_name": text(), "model_version": text(), "id": text(), "outputs": tensorList(d.Outputs),
		}}
	tensor := object{"type": "array", "items": object{"type": "object",
		"required": []string{"name", "datatype", "shape"}, "properties": object{
			"name": text(), "datatype": text(), "shape": object{"type": "array", "items": object{"type": "integer"}},
		}}}
	all["ModelMetadata"] = object{"type": "object", "required": []string{"name", "platform"}, "properties": object{
		"name": text(), "versions": object{"type": "array", "items": text()}, "platform": text(), "inputs": tensor,
		"outputs": tensor,
	}}
}

// tensorList is the schema of tensors; data may be nested, and is missing where the tensor is
// binary.
func tensorList(all []Variable) object {
	l := list(all, func(v Variable) object {
		datatypes := []string{}
		for _, t := range v.Types {
			if t == "str" || t == "dict" || t == "FILE" {
				t = "BYTES"
			}
			datatypes = append(datatypes, t)
		}
		properties := object{
			"name": object{"const": v.Name}, "shape": object{"type": "array",
				"items": object{"type": "integer", "minimum": 0}},
			"parameters": object{"type": []string{"object", "null"}}, "data": object{"type": "array"},
		}
		if len(datatypes) > 0 {
			properties["datatype"] = object{"enum": unique(datatypes)}
		}
		return object{"type": "object", "title": v.Name, "description": v.Description,
			"required": []string{"name", "shape", "datatype"}, "properties": properties}
	})
	if len(all) == 0 {
		l["items"] = object{"type": "object", "required": []string{"name", "shape", "datatype"}}
	}
	return l
}

// unique keeps the first of equal names.
func unique(names []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, n := range names {
		if !seen[n] {
			out = append(out, n)
		}
		seen[n] = true
	}
	return out
}

func tensorExamples(all []Variable) []object {
	list := []object{}
	for i, t := range tensors(all) {
		e := object{"name": t.Name, "datatype": t.Datatype, "shape": []int{1}}
		switch k := kind(all[i]); k {
		case "str", "BYTES":
			e["data"] = []string{"text"}
		case "FILE":
			e["data"] = []string{"group/file.bin"}
		case "dict":
			e["data"] = []string{`{"key":"value"}`}
		default:
			e["data"] = one(k)
		}
		list = append(list, e)
	}
	return list
}
