package module

import (
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/quantity"
	"github.com/unip-knative/unip/translate/manifest"
)

// container decides what all containers of users have in common: of an MLComponent (where is
// "spec") and of a pipeline's stages ("spec.stages[0]").
type container struct {
	*scope
	where string
}

func (c container) image(at manifest.Position, image *manifest.Image) string {
	if image == nil || image.ExistingImageName.Value == "" {
		c.Errorf(at, "%s.image.existingImageName is missing", c.where)
		return ""
	}
	name := image.ExistingImageName
	if strings.ContainsAny(name.Value, " \t\n") || strings.HasPrefix(name.Value, "ko://") {
		c.Errorf(name.At, "%s.image.existingImageName: %q is not the name of an image", c.where, name.Value)
	} else if ref, err := reference.ParseAnyReference(name.Value); err != nil {
		c.Errorf(name.At, "%s.image.existingImageName: %q is not the name of an image: write REGISTRY/NAME:TAG or "+
			"REGISTRY/NAME@DIGEST, the name in lower case", c.where, name.Value)
	} else if !c.pinned && moves(ref) {
		c.Warnf(name.At, "%s.image.existingImageName: %q has a tag that moves, or none: new code under it does not run "+
			"when nothing else changes; write a tag of its own for each build, like the commit, or a digest", c.where,
			name.Value)
	}
	return name.Value
}

// imageAt is where an image's name stands; owner is what should have one.
func imageAt(owner manifest.Position, image *manifest.Image) manifest.Position {
	if image == nil {
		return owner
	}
	return image.ExistingImageName.At
}

// moves reports a name that means another image tomorrow: without a digest, and without a digit in
// its tag, as versions and commits have them.
func moves(ref reference.Reference) bool {
	_, fixed := ref.(reference.Digested)
	tag := "latest"
	if t, ok := ref.(reference.Tagged); ok {
		tag = t.Tag()
	}
	return !fixed && !strings.ContainsAny(tag, "0123456789")
}

// reservedEnv are names that Knative or unip gives a meaning of its own.
var reservedEnv = regexp.MustCompile(`^(PORT|K_SERVICE|K_CONFIGURATION|K_REVISION|K_SINK|UNIP_.*)$`)

func (c container) env(env []manifest.Env) []corev1.EnvVar {
	var out []corev1.EnvVar
	seen := map[string]bool{}
	for _, e := range env {
		name := e.Name.Value
		switch {
		case name == "":
			c.Errorf(e.Position, "%s.env: an entry has no name", c.where)
		case len(validation.IsEnvVarName(name)) > 0:
			c.Errorf(e.Name.At, "%s.env: %q is not the name of an environment variable", c.where, name)
		case reservedEnv.MatchString(name):
			c.Errorf(e.Name.At, "%s.env: %s is a name that Knative or unip sets itself", c.where, name)
		case seen[name]:
			c.Errorf(e.Name.At, "%s.env: %s is there twice", c.where, name)
		}
		seen[name] = true
		if e.Has("value") && e.ValueFrom != nil {
			c.Errorf(e.Key("valueFrom"), "%s.env: %s has a value and a valueFrom: one of them", c.where, name)
		}
		out = append(out, corev1.EnvVar{Name: name, Value: e.Value.Value, ValueFrom: c.valueFrom(e.ValueFrom)})
	}
	return out
}

// valueFrom is the key that an environment variable's value comes from.
func (c container) valueFrom(from *manifest.EnvSource) *corev1.EnvVarSource {
	if from == nil {
		return nil
	}
	if (from.SecretKeyRef == nil) == (from.ConfigMapKeyRef == nil) {
		c.Errorf(from.Position, "%s.env: valueFrom needs secretKeyRef or configMapKeyRef, one of them", c.where)
		return nil
	}
	if r := from.SecretKeyRef; r != nil {
		ref, key, ok := c.keyRef(r)
		if ok {
			c.checkKey("Secret", r)
		}
		return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref, Key: key,
			Optional: optional(r.Optional)}}
	}
	r := from.ConfigMapKeyRef
	ref, key, ok := c.keyRef(r)
	if ok {
		c.checkKey("ConfigMap", r)
	}
	return &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref, Key: key,
		Optional: optional(r.Optional)}}
}

// checkKey looks for a key in what the manifests say of its object.
func (c container) checkKey(kind string, r *manifest.KeyRef) {
	switch keys, known := c.keysOf(kind, r.Name.Value); {
	case r.Optional:
	case !known:
		c.noteMissing(kind, r.Name)
	case keys != nil && !slices.Contains(keys, r.Key.Value):
		c.Errorf(r.Key.At, "%s.env: the %s %s has no key %q", c.where, kind, r.Name.Value, r.Key.Value)
	}
}

// keyRef is the object and the key that a valueFrom names, and whether both are in order.
func (c container) keyRef(r *manifest.KeyRef) (ref corev1.LocalObjectReference, key string, ok bool) {
	ref, ok = c.reference("env", r.Position, r.Name)
	if why := validation.IsConfigMapKey(r.Key.Value); len(why) > 0 {
		at := r.Key.At
		if !r.Has("key") {
			at = r.Position
		}
		c.Errorf(at, "%s.env: the key %q: %s", c.where, r.Key.Value, why[0])
		ok = false
	}
	return ref, r.Key.Value, ok
}

// noteMissing notes an object that a field names and the manifests do not have.
func (s *scope) noteMissing(kind string, name manifest.Text) {
	if _, known := s.keysOf(kind, name.Value); !known {
		s.Notef(name.At, "%s %s is not among the manifests: it must exist in namespace %s", kind, name.Value, s.namespace)
	}
}

func (c container) envFrom(envFrom []manifest.EnvFrom) []corev1.EnvFromSource {
	var out []corev1.EnvFromSource
	for _, e := range envFrom {
		if (e.SecretRef == nil) == (e.ConfigMapRef == nil) {
			c.Errorf(e.Position, "%s.envFrom: an entry needs secretRef or configMapRef, one of them", c.where)
			continue
		}
		from := corev1.EnvFromSource{Prefix: e.Prefix}
		if e.Prefix != "" && len(validation.IsEnvVarName(e.Prefix)) > 0 {
			c.Errorf(e.Field("prefix"), "%s.envFrom: %q cannot stand before the name of an environment variable",
				c.where, e.Prefix)
		}
		if r := e.SecretRef; r != nil {
			ref, ok := c.reference("envFrom", r.Position, r.Name)
			from.SecretRef = &corev1.SecretEnvSource{LocalObjectReference: ref, Optional: optional(r.Optional)}
			if ok && !r.Optional {
				c.noteMissing("Secret", r.Name)
			}
		} else {
			r := e.ConfigMapRef
			ref, ok := c.reference("envFrom", r.Position, r.Name)
			if ok && !r.Optional {
				c.noteMissing("ConfigMap", r.Name)
			}
			from.ConfigMapRef = &corev1.ConfigMapEnvSource{LocalObjectReference: ref, Optional: optional(r.Optional)}
		}
		out = append(out, from)
	}
	return out
}

// reference is the object that a field names, and whether it is in order.
func (c container) reference(field string, at manifest.Position, name manifest.Text) (
	ref corev1.LocalObjectReference, ok bool,
) {
	switch {
	case name.Value == "":
		c.Errorf(at, "%s.%s: the reference has no name", c.where, field)
	case names.Managed(name.Value):
		c.Errorf(name.At, "%s.%s: %s is unip's own and not for the module's code", c.where, field, name.Value)
	case len(validation.IsDNS1123Subdomain(name.Value)) > 0:
		c.Errorf(name.At, "%s.%s: %q is not the name of a Secret or ConfigMap", c.where, field, name.Value)
	default:
		ok = true
	}
	return corev1.LocalObjectReference{Name: name.Value}, ok
}

func optional(yes bool) *bool {
	if !yes {
		return nil
	}
	return &yes
}

// limits are the container's resources: those of the manifest or the installation's, and the
// requests that belong to them.
func (c container) limits(limits map[string]manifest.Quantity) corev1.ResourceRequirements {
	list := corev1.ResourceList{}
	for name, text := range limits {
		extended := strings.Contains(name, "/")
		if !extended && !slices.Contains([]string{"cpu", "memory", "ephemeral-storage"}, name) {
			c.Errorf(text.At, "%s.resourceLimits: there is no resource %q; cpu, memory, ephemeral-storage, "+
				"or a name with a domain like nvidia.com/gpu", c.where, name)
		}
		if extended && len(validation.IsQualifiedName(name)) > 0 {
			c.Errorf(text.At,
				"%s.resourceLimits: %q is not the name of a resource; write DOMAIN/NAME, like nvidia.com/gpu",
				c.where, name)
		}
		q, err := quantity.Limit(corev1.ResourceName(name), text.Value)
		if err != nil {
			c.Errorf(text.At, "%s.resourceLimits.%s: %v", c.where, name, err)
			continue
		}
		list[corev1.ResourceName(name)] = q
	}
	return c.config.Defaults.Resources(list)
}
