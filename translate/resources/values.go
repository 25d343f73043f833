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

// smallCPU is what a container asks for at most unless it says more: a limit alone would become the request, and a limit of two CPUs would never fit a small node.
var smallCPU = resource.MustParse("100m")

// resourcesOf are the limits of a manifest, or the installation's, with requests beside them: CPU as above, everything else as its limit.
func resourcesOf(limits map[string]string, d installation.Defaults) corev1.ResourceRequirements {
	r := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for name, q := range d.Requests {
		r.Requests[corev1.ResourceName(name)] = resource.MustParse(q)
	}
	for name, q := range d.Limits {
		r.Limits[corev1.ResourceName(name)] = resource.MustParse(q)
	}
	for name, q := range limits {
		n, limit := corev1.ResourceName(name), resource.MustParse(q)
		r.Limits[n], r.Requests[n] = limit, limit
		if n == corev1.ResourceCPU && limit.Cmp(smallCPU) > 0 {
			r.Requests[n] = smallCPU
		}
	}
	return r
}

// security is the context of a container under a profile. Under restricted the image must say a uid other than root's.
func security(p installation.Profile) *corev1.SecurityContext {
	no, yes := false, true
	c := &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no,
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if p == installation.Restricted {
		c.RunAsNonRoot = &yes
		c.Capabilities = &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
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
