package resources

import (
	"encoding/base64"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/unip-knative/unip/translate/installation"
)

// DecodeBase64 decodes a Secret's value, line breaks allowed.
func DecodeBase64(s string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
}

// MustQuantity parses a quantity that has been checked.
func MustQuantity(s string) resource.Quantity { return resource.MustParse(s) }

// Literal writes text into an argument or an environment variable's value so that a dollar stays a
// dollar: kubelet expands $(NAME) there, and takes $$ for one.
func Literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// resourcesOf are the limits of a manifest, or the installation's, with requests beside them.
func resourcesOf(limits map[string]string, d installation.Defaults) corev1.ResourceRequirements {
	list := corev1.ResourceList{}
	for name, q := range limits {
		list[corev1.ResourceName(name)] = resource.MustParse(q)
	}
	return d.Resources(list)
}

// security is the context of a container under a profile. Under restricted the image must say a uid other than root's.
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
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)},
	}
}
