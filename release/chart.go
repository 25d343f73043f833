package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// chartNotes are what Helm shows after an installation.
//
//go:embed chart_notes.txt
var chartNotes []byte

// chartConfig is the operator's ConfigMap, when values hold one.
//
//go:embed chart_config.yaml
var chartConfig []byte

// chart is the YAML of the installation for Helm: with its own values it renders the same objects.
func (o *options) chart(objects []object) ([]byte, error) {
	about, err := yaml.Marshal(map[string]any{
		"apiVersion": "v2", "type": "application", "name": "unip", "version": o.version, "appVersion": "v" + o.version,
		"description": "Machine learning on Knative: models that answer over HTTP, pipelines that train them",
		"kubeVersion": ">=1.30.0-0",
	})
	if err != nil {
		return nil, err
	}
	files := []file{
		{"unip/Chart.yaml", 0o644, about},
		{"unip/templates/NOTES.txt", 0o644, chartNotes},
		{"unip/templates/unip-config.yaml", 0o644, chartConfig},
	}
	values := map[string]any{"registry": o.registry, "config": map[string]any{}}
	for i, x := range objects {
		text, err := o.template(x, values)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("unip/templates/%02d-%s-%s.yaml", i, strings.ToLower(x.kind()), x.name())
		files = append(files, file{name, 0o644, text})
	}
	text, err := encodeValues(values)
	if err != nil {
		return nil, err
	}
	schema, err := valuesSchema(values)
	if err != nil {
		return nil, err
	}
	files = append(files, file{"unip/values.yaml", 0o644, text}, file{"unip/values.schema.json", 0o644, schema})
	var b bytes.Buffer
	err = tarGz(&b, o.made, files)
	return b.Bytes(), err
}

// mark stands for a value while an object is YAML and not yet a template. YAML needs no quotes for it.
var mark = regexp.MustCompile(`HERE\.([A-Za-z.]+)\.VALUE`)

// template is an object whose image names and replicas are values. It adds those to values.
func (o *options) template(x object, values map[string]any) ([]byte, error) {
	text, err := yaml.Marshal(x)
	if err != nil {
		return nil, err
	}
	var changed object // not x: others use it
	if err := yaml.Unmarshal(text, &changed); err != nil {
		return nil, err
	}
	for _, c := range changed.containers() {
		texts(c, func(_, value string) string {
			if rest, ok := strings.CutPrefix(value, o.registry+"/"); ok {
				return "HERE.registry.VALUE/" + rest
			}
			return value
		})
	}
	if changed.kind() == "Deployment" {
		part := strings.ReplaceAll(strings.TrimPrefix(changed.name(), "unip-"), "-", "")
		spec := changed.within("spec")
		values[part] = map[string]any{"replicas": spec["replicas"]}
		spec["replicas"] = "HERE." + part + ".replicas.VALUE"
	}
	if text, err = yaml.Marshal(changed); err != nil {
		return nil, err
	}
	text = bytes.ReplaceAll(text, []byte("{{"), []byte(`{{ "{{" }}`))
	return mark.ReplaceAll(text, []byte("{{ .Values.$1 }}")), nil
}

// valuesText explains the values; the rest of the file are the values themselves.
const valuesText = `# registry: what the images' names begin with; another one where they have been mirrored.
# config: the operator's unip.yaml (docs/operating.md), as a map; while it is empty the chart makes no ConfigMap
#   unip-config. The Secret unip-s3 is never of the chart: Helm would keep its text.
# PART.replicas: how many pods.
`

func encodeValues(values map[string]any) ([]byte, error) {
	text, err := yaml.Marshal(values)
	return append([]byte(valuesText), text...), err
}

// valuesSchema lets Helm refuse a value that there is not.
func valuesSchema(values map[string]any) ([]byte, error) {
	properties := map[string]any{"registry": map[string]any{"type": "string", "minLength": 1},
		"config": map[string]any{"type": "object"}}
	for part := range values {
		if properties[part] == nil {
			properties[part] = map[string]any{"type": "object", "additionalProperties": false,
				"properties": map[string]any{"replicas": map[string]any{"type": "integer", "minimum": 0}}}
		}
	}
	// Helm itself adds global.
	properties["global"] = map[string]any{"type": "object"}
	return json.MarshalIndent(map[string]any{
		"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
		"properties": properties,
	}, "", "  ")
}
