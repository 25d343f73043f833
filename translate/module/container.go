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
	} else if _, err := reference.ParseAnyReference(name.Value); err != nil {
		c.Errorf(name.At, "%s.image.existingImageName: %q is not the name of an image: write REGISTRY/NAME:TAG or "+
			"REGISTRY/NAME@DIGEST, the name in lower case", c.where, name.Value)
	}
	return name.Value
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
		out = append(out, corev1.EnvVar{Name: name, Value: e.Value.Value})
	}
	return out
}

func (c container) envFrom(envFrom []manifest.EnvFrom) []corev1.EnvFromSource {
	var out []corev1.EnvFromSource
	for _, e := range envFrom {
		if (e.SecretRef == nil) == (e.ConfigMapRef == nil) {
			c.Errorf(e.Position, "%s.envFrom: an entry needs secretRef or configMapRef, one of them", c.where)
			continue
		}
		from := corev1.EnvFromSource{Prefix: e.Prefix}
		if r := e.SecretRef; r != nil {
			ref, ok := c.reference(e, r)
			from.SecretRef = &corev1.SecretEnvSource{LocalObjectReference: ref, Optional: optional(r)}
			if ok && c.secrets[ref.Name] == nil {
				c.Notef(r.Name.At, "Secret %s is not among the manifests: it must exist in namespace %s", ref.Name,
					c.namespace)
			}
		} else {
			ref, _ := c.reference(e, e.ConfigMapRef)
			from.ConfigMapRef = &corev1.ConfigMapEnvSource{LocalObjectReference: ref,
				Optional: optional(e.ConfigMapRef)}
		}
		out = append(out, from)
	}
	return out
}

// reference is the object that an entry of envFrom names, and whether it is in order.
func (c container) reference(e manifest.EnvFrom, r *manifest.NameRef) (ref corev1.LocalObjectReference, ok bool) {
	name := r.Name.Value
	switch {
	case name == "":
		c.Errorf(r.Position, "%s.envFrom: the reference has no name", c.where)
	case names.Managed(name):
		c.Errorf(r.Name.At, "%s.envFrom: %s is unip's own and not for the module's code", c.where, name)
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		c.Errorf(r.Name.At, "%s.envFrom: %q is not the name of a Secret or ConfigMap", c.where, name)
	case e.Prefix != "" && len(validation.IsEnvVarName(e.Prefix)) > 0:
		c.Errorf(e.Field("prefix"), "%s.envFrom: %q cannot stand before the name of an environment variable",
			c.where, e.Prefix)
	default:
		ok = true
	}
	return corev1.LocalObjectReference{Name: name}, ok
}

func optional(r *manifest.NameRef) *bool {
	if !r.Optional {
		return nil
	}
	yes := true
	return &yes
}

// limits are the container's resources: those of the manifest or the installation's, and the
// requests that belong to them.
func (c container) limits(limits map[string]manifest.Text) corev1.ResourceRequirements {
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
		q, err := quantity.Parse(text.Value)
		if err != nil || q.Sign() < 0 {
			c.Errorf(text.At, "%s.resourceLimits.%s: %q is not a quantity; write \"500m\", 2Gi or the like",
				c.where, name, text.Value)
			continue
		}
		if extended && q.MilliValue()%1000 != 0 {
			c.Errorf(text.At,
				"%s.resourceLimits.%s: %q is not a whole number; Kubernetes gives such a resource undivided",
				c.where, name, text.Value)
		}
		list[corev1.ResourceName(name)] = q
	}
	return c.config.Defaults.Resources(list)
}
