package openapi

import (
	"maps"

	"github.com/unip-knative/unip/eventing/routes"
)

// files describes the file API. OpenAPI has no parameter of several segments: {path} is one in the
// documents, and says that it stands for more.
func files(api routes.API) object {
	box := in("path", "box", "a DataBox of the module", text())
	group := in("path", "group", "the group, of one segment or more with / between", text())
	name := in("path", "path", "<group>/<file>, of two segments or more with / between, each percent-encoded", text())
	links := []object{in("query", "expires", "how many seconds the links work",
		object{"type": "integer", "minimum": 1, "maximum": 604800, "default": 3600})}
	known := object{
		"name": text(), "size": whole(), "etag": text(), "last_modified": moment(), "content_type": text(),
	}
	file := maps.Clone(known)
	maps.Copy(file, object{"presigned_get_url": link(), "presigned_put_url": link(), "expires_at": moment()})
	upload := answer("a link to write the file with PUT", having(object{
		"presigned_put_url": link(), "expires_at": moment()}, "presigned_put_url", "expires_at"))
	redirect := in("query", "redirect", "true: the answer leads to the file's bytes", object{"type": "boolean"})
	page := []object{
		in("query", "limit", "the most", object{"type": "integer", "minimum": 1, "maximum": 1000, "default": 1000}),
		in("query", "continue", "next of the page before", text()),
	}
	listing := answer("what is in it", having(object{
		"files":       list(having(known, "name", "size", "etag", "last_modified")),
		"file_groups": list(text()), "next": text(),
	}, "files", "file_groups"))
	of := func(first []object, more ...object) []object { return append(append([]object{}, first...), more...) }
	missing := trouble("the caller has nothing there")
	call := func(summary string, parameters []object, answers object) object {
		return operation(summary, api.Auth, parameters, answers)
	}
	boxes := list(having(object{"name": text(), "read_only": object{"type": "boolean"}}, "name", "read_only"))
	return object{
		"/": object{"get": call("The boxes of the module", nil, object{
			"200": answer("the boxes", having(object{"boxes": boxes}, "boxes"))})},
		"/{box}/": object{"get": call("The groups of a box", of(page, box), object{"200": listing})},
		"/{box}/{group}/": object{
			"get": call("The files and groups of a group", of(page, box, group), object{"200": listing}),
			"delete": call("Delete a group", []object{box, group}, object{
				"200": answer("there is more: call again", having(object{"deleted": whole(),
					"more": object{"type": "boolean"}}, "deleted", "more")),
				"204": object{"description": "it is gone"}, "404": missing,
			}),
		},
		"/{box}/{path}": object{
			"get": call("What is known of a file, with links to it", of(links, box, name, redirect), object{
				"200": answer("the file", having(file, "name", "size", "etag", "last_modified")),
				"307": object{"description": "with redirect=true: Location is a link to the bytes"}, "404": missing,
			}),
			"head": object{"summary": "Whether there is such a file", "parameters": []object{box, name, redirect},
				"responses": object{
					"200": object{"description": "there is"}, "404": object{"description": "there is not"},
				}},
			"put": call("A link to write a file", of(links, box, name,
				in("query", "overwrite", "true: also in place of one that exists", object{"type": "boolean"}),
				in("query", "size", "how many bytes the file will have", whole())), object{
				"200": upload, "201": upload, "400": trouble("the file exists (file-exists), or it is no place of a file"),
				"501": trouble("the installation's storage is not safe with upload links (no-upload-links)"),
				"507": trouble("the box is full (box-full)"),
			}),
			"delete": call("Delete a file", []object{box, name}, object{
				"204": object{"description": "it is gone"}, "404": missing,
			}),
		},
	}
}
