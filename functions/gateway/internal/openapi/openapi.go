// Package openapi describes a module's APIs as OpenAPI 3.1: where they are called, how callers log
// in, what they send and get.
//
// The calls of a component are described by the component itself, which knows its function but not
// where it is published and to whom: Component adds that.
package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"github.com/unip-knative/unip/eventing/plainjson"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// object is any JSON object of a document.
type object = map[string]any

// jsonType is the media type of what is sent and got.
const jsonType = "application/json"

// Write answers with the document of an API that the gateway serves itself. base is the path of the
// API, as the caller has it.
func Write(w http.ResponseWriter, api routes.API, base string) {
	var paths object
	title := api.Name
	switch api.Kind {
	case routes.KindPipeline:
		title, paths = api.Target, pipeline(api)
	case routes.KindPipelines:
		paths = runs(api)
	default:
		paths = files(api)
	}
	document := published(object{
		"openapi": "3.1.0", "info": object{"title": title, "version": "1"}, "paths": paths,
		"components": object{"schemas": object{"Problem": problemSchema}},
	}, api, base)
	b, err := plainjson.Marshal(document)
	if err != nil { // texts, numbers and lists of them always encode
		panic(err)
	}
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(append(b, '\n'))
}

// Component is the document that a component gives of itself, with where it is published and how
// callers log in.
func Component(document []byte, api routes.API, base string) ([]byte, error) {
	var d object
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, fmt.Errorf("the component's own description: %w", err)
	}
	if _, is := d["openapi"].(string); !is {
		return nil, errors.New("the component's own description is none of OpenAPI")
	}
	return plainjson.Marshal(published(d, api, base))
}

// published adds to a document where its paths begin, and the ways to log in, any of which is enough;
// none on an open API.
func published(d object, api routes.API, base string) object {
	d["servers"] = []object{{"url": base}}
	schemes, security := logins(api.Auth)
	d["security"] = security
	components, _ := d["components"].(object)
	components = maps.Clone(components)
	if components == nil {
		components = object{}
	}
	components["securitySchemes"] = schemes
	d["components"] = components
	return d
}

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

var problemSchema = object{
	"type": "object", "description": "what went wrong (RFC 9457)", "required": []string{"type", "title", "status"},
	"properties": object{
		"type": text(), "title": text(), "status": object{"type": "integer"}, "detail": text(), "instance": text(),
		"errors": list(object{"type": "object", "properties": object{"pointer": text(), "detail": text()}}),
	},
}

func text() object { return object{"type": "string"} }

func moment() object { return object{"type": "string", "format": "date-time"} }

func whole() object { return object{"type": "integer", "minimum": 0} }

func link() object { return object{"type": "string", "format": "uri"} }

func list(of object) object { return object{"type": "array", "items": of} }

// having is the schema of an object with these properties, of which some are always there.
func having(properties object, always ...string) object {
	o := object{"type": "object", "properties": properties}
	if len(always) > 0 {
		o["required"] = always
	}
	return o
}

// in is a parameter in a path, a query or a header.
func in(place, name, description string, schema object) object {
	return object{"name": name, "in": place, "required": place == "path", "description": description,
		"schema": schema}
}

// operation is one call: answers by their status. What all calls have is added.
func operation(summary string, auth *routes.Auth, parameters []object, answers object) object {
	all := object{"default": trouble("what went wrong")}
	maps.Copy(all, answers)
	if auth != nil {
		all["401"] = trouble("who calls is not known (unauthorized)")
	}
	all["403"] = trouble(refusals(auth))
	o := object{"summary": summary, "responses": all}
	if len(parameters) > 0 {
		o["parameters"] = parameters
	}
	return o
}

// answer is a good one, of JSON.
func answer(description string, schema object) object {
	return object{"description": description, "content": object{jsonType: object{"schema": schema}}}
}

// trouble is an answer that is a problem.
func trouble(description string) object {
	return object{"description": description, "content": object{
		problem.ContentType: object{"schema": object{"$ref": "#/components/schemas/Problem"}}}}
}

// refusals says for whom 403 is the answer.
func refusals(auth *routes.Auth) string {
	const page = "a page of another site makes a browser call (cross-origin)"
	if auth != nil && auth.OIDC != nil && len(auth.OIDC.Users)+len(auth.OIDC.Groups) > 0 {
		return "the API names users or groups, and the caller is none of them (not-allowed); or " + page
	}
	return page
}
