package resources

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/unip-knative/unip/translate/installation"
)

// Literal writes text into an argument or an environment variable's value so that a dollar stays a
// dollar: kubelet expands $(NAME) there, and takes $$ for one.
func Literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// literalEnv are variables whose values stay what they are.
func literalEnv(env []corev1.EnvVar) []corev1.EnvVar {
	out := slices.Clone(env)
	for i := range out {
		out[i].Value = Literal(out[i].Value)
	}
	return out
}

// security is the context of a container under a profile. Under restricted the image must say a uid
// other than root's.
func security(p installation.Profile) *corev1.SecurityContext {
	no, yes := false, true
	c := &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no,
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		Capabilities:             &corev1.Capabilities{Drop: installation.UnusedCapabilities()},
	}
	if p == installation.Restricted {
		c.RunAsNonRoot = &yes
		c.Capabilities.Drop = []corev1.Capability{"ALL"}
	}
	return c
}

// ownSecurity is that of unip's own containers, under every profile.
func ownSecurity() *corev1.SecurityContext {
	yes := true
	c := security(installation.Restricted)
	c.ReadOnlyRootFilesystem = &yes
	return c
}

func ownResources(cpu, memory, limit string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu),
			corev1.ResourceMemory: resource.MustParse(memory)},
		Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)},
	}
}
