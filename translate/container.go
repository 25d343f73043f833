package translate

import (
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/resources"
)

// What all containers of users have in common: of an MLComponent (where is "spec") and of a pipeline's stages ("spec.stages[0]").

// reservedEnv are names that Knative or unip gives a meaning of its own.
var reservedEnv = regexp.MustCompile(`^(PORT|K_SERVICE|K_CONFIGURATION|K_REVISION|K_SINK|UNIP_.*)$`)

func (c *checker) image(where string, at manifest.Position, image *manifest.Image) {
	if image == nil || image.ExistingImageName.Value == "" {
		c.found.Errorf(at, "%s.image.existingImageName is missing", where)
	} else if name := image.ExistingImageName; strings.ContainsAny(name.Value, " \t\n") || strings.HasPrefix(name.Value, "ko://") {
		c.found.Errorf(name.At, "%s.image.existingImageName: %q is not the name of an image", where, name.Value)
	} else if _, err := reference.ParseAnyReference(name.Value); err != nil {
		c.found.Errorf(name.At, "%s.image.existingImageName: %q is not the name of an image: write REGISTRY/NAME:TAG or REGISTRY/NAME@DIGEST, the name in lower case", where, name.Value)
	}
}

func (c *checker) env(where string, env []manifest.Env, envFrom []manifest.EnvFrom) {
	seen := map[string]bool{}
	for _, e := range env {
		name := e.Name.Value
		switch {
		case name == "":
			c.found.Errorf(e.Position, "%s.env: an entry has no name", where)
		case len(validation.IsEnvVarName(name)) > 0:
			c.found.Errorf(e.Name.At, "%s.env: %q is not the name of an environment variable", where, name)
		case reservedEnv.MatchString(name):
			c.found.Errorf(e.Name.At, "%s.env: %s is a name that Knative or unip sets itself", where, name)
		case seen[name]:
			c.found.Errorf(e.Name.At, "%s.env: %s is there twice", where, name)
		}
		seen[name] = true
	}
	for _, e := range envFrom {
		ref := e.SecretRef
		if (e.SecretRef == nil) == (e.ConfigMapRef == nil) {
			c.found.Errorf(e.Position, "%s.envFrom: an entry needs secretRef or configMapRef, one of them", where)
			continue
		}
		if ref == nil {
			ref = e.ConfigMapRef
		}
		name := ref.Name.Value
		switch {
		case name == "":
			c.found.Errorf(ref.Position, "%s.envFrom: the reference has no name", where)
		case names.Managed(name):
			c.found.Errorf(ref.Name.At, "%s.envFrom: %s is unip's own and not for the module's code", where, name)
		case len(validation.IsDNS1123Subdomain(name)) > 0:
			c.found.Errorf(ref.Name.At, "%s.envFrom: %q is not the name of a Secret or ConfigMap", where, name)
		case e.Prefix != "" && len(validation.IsEnvVarName(e.Prefix)) > 0:
			c.found.Errorf(e.Field("prefix"), "%s.envFrom: %q cannot stand before the name of an environment variable", where, e.Prefix)
		case e.SecretRef != nil && c.secrets[name] == nil:
			c.found.Notef(ref.Name.At, "Secret %s is not among the manifests: it must exist in namespace %s", name, c.namespace)
		}
	}
}

func (c *checker) limits(where string, limits map[string]manifest.Text) {
	for name, q := range limits {
		if !strings.Contains(name, "/") && !slices.Contains([]string{"cpu", "memory", "ephemeral-storage"}, name) {
			c.found.Errorf(q.At, "%s.resourceLimits: there is no resource %q; cpu, memory, ephemeral-storage, or a name with a domain like nvidia.com/gpu", where, name)
		}
		extended := strings.Contains(name, "/")
		if extended && len(validation.IsQualifiedName(name)) > 0 {
			c.found.Errorf(q.At, "%s.resourceLimits: %q is not the name of a resource; write DOMAIN/NAME, like nvidia.com/gpu", where, name)
		}
		if n, err := resource.ParseQuantity(q.Value); err != nil || n.Sign() < 0 {
			c.found.Errorf(q.At, "%s.resourceLimits.%s: %q is not a quantity; write \"500m\", 2Gi or the like", where, name, q.Value)
		} else if extended && n.MilliValue()%1000 != 0 {
			c.found.Errorf(q.At, "%s.resourceLimits.%s: %q is not a whole number; Kubernetes gives such a resource undivided", where, name, q.Value)
		}
	}
}

func envOf(env []manifest.Env) []corev1.EnvVar {
	var out []corev1.EnvVar
	for _, e := range env {
		out = append(out, corev1.EnvVar{Name: e.Name.Value, Value: resources.Literal(e.Value.Value)})
	}
	return out
}

func envFromOf(envFrom []manifest.EnvFrom) []corev1.EnvFromSource {
	var out []corev1.EnvFromSource
	for _, e := range envFrom {
		from := corev1.EnvFromSource{Prefix: e.Prefix}
		if r := e.SecretRef; r != nil {
			from.SecretRef = &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: r.Name.Value}, Optional: optional(r)}
		} else {
			from.ConfigMapRef = &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: e.ConfigMapRef.Name.Value}, Optional: optional(e.ConfigMapRef)}
		}
		out = append(out, from)
	}
	return out
}

func optional(r *manifest.NameRef) *bool {
	if !r.Optional {
		return nil
	}
	yes := true
	return &yes
}

func limitsOf(limits map[string]manifest.Text) map[string]string {
	out := map[string]string{}
	for name, q := range limits {
		out[name] = q.Value
	}
	return out
}
