package main

import (
	"bytes"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/unip-knative/unip/eventing/label"
)

// object is one of Kubernetes.
type object map[string]any

// parse reads the documents of a stream of YAML.
func parse(text []byte) ([]object, error) {
	var all []object
	for document := range strings.SplitSeq("\n"+string(text), "\n---") {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			return nil, fmt.Errorf("reading what ko has resolved: %w", err)
		}
		if len(o) > 0 {
			all = append(all, o)
		}
	}
	return all, nil
}

func encode(objects []object) ([]byte, error) {
	var b bytes.Buffer
	for _, o := range objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			return nil, err
		}
		b.WriteString("---\n")
		b.Write(text)
	}
	return b.Bytes(), nil
}

// within is the map below a path of maps, made where it is missing.
func (o object) within(path ...string) object {
	for _, key := range path {
		next, ok := o[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			o[key] = next
		}
		o = next
	}
	return o
}

func (o object) kind() string { k, _ := o["kind"].(string); return k }
func (o object) name() string { n, _ := o.within("metadata")["name"].(string); return n }

// containers are those of a Deployment.
func (o object) containers() []object {
	if o.kind() != "Deployment" {
		return nil
	}
	list, _ := o.within("spec", "template", "spec")["containers"].([]any)
	var all []object
	for _, c := range list {
		if c, ok := c.(map[string]any); ok {
			all = append(all, c)
		}
	}
	return all
}

// texts calls f with each image of a container and each value of its environment, and puts what it
// returns there.
func texts(container object, f func(key, value string) string) {
	if image, ok := container["image"].(string); ok {
		container["image"] = f("image", image)
	}
	env, _ := container["env"].([]any)
	for _, e := range env {
		v, _ := e.(map[string]any)
		name, _ := v["name"].(string)
		if value, ok := v["value"].(string); ok {
			v["value"] = f(name, value)
		}
	}
}

// stamp writes the version on everything, and what the controller tells of it. Helm leaves CRDs when
// it takes the rest away: with them would go every module's boxes and runs.
func (o *options) stamp(objects []object) {
	for _, x := range objects {
		x.within("metadata", "labels")[label.Version] = o.version
		if x.kind() == "CustomResourceDefinition" {
			x.within("metadata", "annotations")["helm.sh/resource-policy"] = "keep"
		}
		for _, c := range x.containers() {
			texts(c, func(key, value string) string {
				if key == "UNIP_VERSION" {
					return "v" + o.version
				}
				return value
			})
		}
	}
}
