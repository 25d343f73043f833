package translate

import (
	"regexp"
	"strconv"
	"strings"

	"knative.dev/serving/pkg/apis/autoscaling"

	"github.com/unip-knative/unip/translate/manifest"
)

// functionField is a field of the container with the user's image in a Service, as Knative writes its path.
var functionField = regexp.MustCompile(`\bcontainers\[1\]\.(\w+)(?:\[(\d+)\])?`)

// origin is where in a component's manifest that stands which a field of its Service was made of; what nobody has written is the whole object's.
func origin(x *manifest.MLComponent, path string) manifest.Position {
	s := &x.Spec
	f := functionField.FindStringSubmatch(path)
	if f == nil {
		for annotation, key := range map[string]string{
			manifest.MinScale.Name: autoscaling.MinScaleAnnotationKey, manifest.MaxScale.Name: autoscaling.MaxScaleAnnotationKey, manifest.ScaleDownDelay.Name: autoscaling.ScaleDownDelayAnnotationKey,
		} {
			if v, ok := x.Meta.Annotations[annotation]; ok && strings.Contains(path, key) {
				return v.At
			}
		}
		if strings.Contains(path, "containers[0].ports") {
			return or(s.Field("servicePort"), s.Position, x.Position)
		}
		return x.Position
	}
	i, _ := strconv.Atoi(f[2])
	switch f[1] {
	case "image":
		if s.Image != nil {
			return s.Image.ExistingImageName.At
		}
	case "env":
		if i < len(s.Env) {
			return s.Env[i].Position
		}
	case "envFrom":
		if i < len(s.EnvFrom) {
			return s.EnvFrom[i].Position
		}
	case "resources":
		return or(s.Field("resourceLimits"), s.Position, x.Position)
	case "volumeMounts":
		if s.MLService != nil {
			return or(s.MLService.Field("modelPath"), s.MLService.Position, x.Position)
		}
	}
	return x.Position
}

// or is the place of a field, or the object's where the field is not there: its struct's place says nothing then.
func or(field, structure, object manifest.Position) manifest.Position {
	if field == structure {
		return object
	}
	return field
}
