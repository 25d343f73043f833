package resources

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/unip-knative/unip/translate/installation"
)

// What networks of clusters differ in is not asked of them: ranges of ports, names of ports (which
// some look up in no pod that comes later) and SCTP.
func TestNetworkPoliciesAskWhatAllNetworksKnow(t *testing.T) {
	t.Parallel()
	for _, egress := range []installation.Egress{installation.Open, installation.RestrictedEgress} {
		c := installation.Default()
		c.NetworkPolicies.Egress, c.NetworkPolicies.EgressCIDRs = egress, []string{"10.0.0.0/8"}
		for _, kind := range []string{"mlcomponent", "gateway", "stage"} {
			p := MakeNetworkPolicy(Module{Namespace: "ns", Config: c}, kind)
			var ports []networkingv1.NetworkPolicyPort
			for _, r := range p.Spec.Ingress {
				ports = append(ports, r.Ports...)
			}
			for _, r := range p.Spec.Egress {
				ports = append(ports, r.Ports...)
			}
			for _, port := range ports {
				if port.EndPort != nil || port.Port == nil || port.Port.Type != intstr.Int || port.Protocol == nil ||
					*port.Protocol == corev1.ProtocolSCTP {
					t.Errorf("%s, %s: port %v", kind, egress, port)
				}
			}
		}
	}
}
