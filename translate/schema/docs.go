package schema

import (
	_ "embed"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/unip-knative/unip/translate/manifest"
)

// module is a whole one, with most of the kinds.
//
//go:embed module.yaml
var module string

// Markdown is the reference of the manifests: a table per kind.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# Manifests

Made from the Go types in translate/manifest and their comments by ` + "`make generate`" + `; do not edit.

Every object has ` + "`apiVersion: " + manifest.APIVersion + "`" + ` (ScalingConfig ` + "`" + manifest.AutoscalerAPIVersion + "`" + `), a kind, metadata and a spec. An unknown field is an error with its place (a warning with ` + "`--lenient`" + `). Fields in **bold** must be there.
` + "`unip schema`" + ` writes the same as JSON Schema for editors.

A file is YAML, or JSON values one after the other, in UTF-8 or UTF-16. Keys ` + "`x-…`" + ` at the top of an object are for anchors. A quantity may be a text or a number; it must make sense: ` + "`512m`" + ` of memory is half a byte.

A whole module with most of the kinds; the three sorts of module are in [modules.md](modules.md):

`)
	b.WriteString("```yaml\n" + module + "```\n\n## metadata\n\n")
	table(&b, reflect.TypeFor[manifest.Meta](), "metadata")
	for _, k := range manifest.Kinds {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", k.Name, k.Text)
		if hasFields(k.Spec) {
			table(&b, k.Spec, "spec")
		}
	}
	b.WriteString(`
## Annotations

With the prefix ` + "`" + manifest.Prefix + "`" + `; an unknown one is an error.

| annotation | of | | default | becomes | constraint |
|---|---|---|---|---|---|
`)
	for _, a := range manifest.Annotations {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n",
			a.Short(), a.Kind, cell(a.Text), cell(a.Default), cell(a.Becomes), cell(a.Bounds))
	}
	b.WriteString("\nA rule of `on-upload`:\n\n")
	table(&b, reflect.TypeFor[manifest.UploadRule](), "[]")
	b.WriteString(silent)
	others(&b)
	return b.String()
}

// silent is what is read and changes nothing. A test finds fields that neither have an effect nor a
// finding (translate/fields_test.go).
const silent = `
## What has no effect

All of it is noted by ` + "`unip validate`" + `, with its place.

| what | why |
|---|---|
| MLComponent: ` + "`packageRegistryName`, `publicPackageRegistryName`" + ` | nothing is installed into an image: packages, and no server library, belong into it |
| APIComponent of files, or of pipelines in general: ` + "`identityPassThrough`" + ` | nobody's code runs behind them |
| APIComponent of anything but a pipeline: ` + "`apiSpec`" + ` | a component's specification is its function's docstring |
| ScalingConfig: ` + "`transitions`, `prometheusMetrics`, `cpuTimeWindow`, `memoryTimeWindow`" + `, and all of one with another target than a component of the module | Knative scales by the calls that there are at a time |
| Repository, PlatformApp, DatasetComponent, ScalingConfig, Secret: fields that unip does not know | the platform's own fields of these kinds are not all known; they are kept for other tools |
| labels of Repository, PlatformApp, ScalingConfig | no object is made of these |
| annotations without the prefix of unip's | |
`

// others says what becomes of objects of other groups.
func others(b *strings.Builder) {
	var all []string
	for k, pods := range manifest.Carried {
		name := "`" + strings.TrimPrefix(k.Group+"/"+k.Kind, "/") + "`"
		if pods {
			name += " (P)"
		}
		all = append(all, name)
	}
	slices.Sort(all)
	fmt.Fprintf(b, `
## Objects of other groups

An object of another group that stands beside the manifests is carried through unchanged, and `+"`unip validate`"+` names each. It must be of one of these kinds and in the module's own
namespace: %s.

(P) makes pods. They keep to the Pod Security of the namespace; unip's NetworkPolicies do not select them, so an installation with `+"`egress: Restricted`"+` refuses them.

Refused besides: names that unip keeps for itself (`+"`gateway`, `unip-…`, `….databox.…`, `….run.session`, the Broker `default`"+`, a component's name for a Service or a ServiceAccount); Services with
externalIPs or of another type than ClusterIP; Secrets with a ServiceAccount's token; pods with a Secret or ServiceAccount of unip's own.

The flag `+"`--allow-foreign`"+` (of translate, validate, apply, diff, delete, graph and serve) lifts all of this: rights (RBAC), kinds of the whole cluster, and other namespaces are then applied with the rights of
whoever applies. Even so refused: what would take the place of one of the module's own objects (its Namespace among them), labels by which unip knows its own (`+"`app.kubernetes.io/managed-by: unip`"+`), and
an object with a field `+"`items`"+`, of which kubectl would apply the content.
`, strings.Join(all, ", "))
}

// hasFields reports a type that has any, beside those that unip does not know.
func hasFields(t reflect.Type) bool { return len(structure(t)["properties"].(object)) > 0 }

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func table(b *strings.Builder, t reflect.Type, path string) {
	b.WriteString("| field | type | | default | becomes | constraint |\n|---|---|---|---|---|---|\n")
	rows(b, t, path)
}

func rows(b *strings.Builder, t reflect.Type, path string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" {
			continue
		}
		d := fields()[t.Name()+"."+f.Name]
		where, inner := path+"."+name, f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		kind := typeName(inner)
		if inner.Kind() == reflect.Slice {
			where, inner = where+"[]", inner.Elem()
		}
		shown := "`" + where + "`"
		if d.Required {
			shown = "**" + shown + "**"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", shown, kind, cell(d.Text), cell(d.Default), cell(d.Becomes),
			cell(d.Constraint))
		if kind == "object" || kind == "list of objects" || kind == "object, or name" {
			rows(b, inner, where)
		}
	}
}

func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[manifest.Text]():
		return "string"
	case reflect.TypeFor[manifest.Duration]():
		return "time (90s, 5m, 1h30m, or seconds)"
	case reflect.TypeFor[manifest.Quantity]():
		return "quantity"
	case reflect.TypeFor[manifest.ContinueWith]():
		return "object, or name"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "list of " + typeName(t.Elem()) + "s"
	case reflect.Map:
		if t.Elem() == reflect.TypeFor[manifest.Quantity]() {
			return "map of quantities"
		}
		return "map of " + typeName(t.Elem()) + "s"
	case reflect.Struct:
		if t.PkgPath() != reflect.TypeFor[manifest.Text]().PkgPath() {
			return "any"
		}
		return "object"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "number"
	default:
		return "string"
	}
}
