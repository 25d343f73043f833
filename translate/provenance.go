package translate

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
)

// functionField is a field of the container with the user's image in a Service, as Knative writes
// its path.
var functionField = regexp.MustCompile(`\bcontainers\[1\]\.(\w+)(?:\[(\d+)\])?`)

// origin finds the manifest position that a field of a component's Service came from. What nobody
// has written is the whole component's.
func origin(c *module.Component, path string) manifest.Position {
	f := functionField.FindStringSubmatch(path)
	if f == nil {
		for _, a := range manifest.Annotations {
			if v, ok := c.Annotations[a.Name]; ok && a.Kind == "MLComponent" && strings.Contains(path, a.Becomes) {
				return v.At
			}
		}
		if strings.Contains(path, "containers[0].ports") {
			return c.Places.Port
		}
		return c.Position
	}
	i, _ := strconv.Atoi(f[2])
	switch f[1] {
	case "image":
		return c.Places.Image
	case "env":
		return at(c.Places.Env, i, c.Position)
	case "envFrom":
		return at(c.Places.EnvFrom, i, c.Position)
	case "resources":
		return c.Places.Resources
	case "volumeMounts":
		return c.Places.Model
	}
	return c.Position
}

// at is the i-th of some places, or the object's when it has no such one.
func at(all []manifest.Position, i int, object manifest.Position) manifest.Position {
	if i < len(all) {
		return all[i]
	}
	return object
}
