package resources

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
)

// MakeNetworkPolicy makes the NetworkPolicy of a module's pods of one kind: mlcomponent, gateway or
// stage. Pods that are not unip's own are not selected.
//
// Components and gateways are called by the ingress and by Knative only, past which nobody reaches
// the port of the function's server, and a stage by nobody. Pods with users' containers may not
// reach the metadata servers of clouds. The gateway is unip's own code and calls Kubernetes,
// providers of tokens and S3, wherever they are: it has no rule for what it may reach.
func MakeNetworkPolicy(m Module, kind string) *networkingv1.NetworkPolicy {
	spec := networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{
			MatchLabels: map[string]string{label.Component: kind, label.ManagedBy: label.Unip}},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress:     []networkingv1.NetworkPolicyIngressRule{},
	}
	c := m.Config.NetworkPolicies
	if kind != "stage" {
		spec.Ingress = append(spec.Ingress,
			networkingv1.NetworkPolicyIngressRule{
				From: []networkingv1.NetworkPolicyPeer{namespaces(c.IngressNamespaces...)}})
	}
	if kind != "gateway" {
		spec.PolicyTypes = append(spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		spec.Egress = []networkingv1.NetworkPolicyEgressRule{dns(), {To: egress(m.Config)}}
	}
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: m.meta(names.NetworkPolicy(kind), m.Namespace, "module"),
		Spec:       spec,
	}
}

// metadata are the addresses that no user's container reaches: link-local ones, among them nearly
// every cloud's metadata server (169.254.169.254), and those of Alibaba's, and of AWS's and
// Google's for IPv6.
var metadata = struct{ v4, v6 []string }{
	v4: []string{"169.254.0.0/16", "100.100.100.200/32"},
	v6: []string{"fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128"},
}

func egress(c installation.Config) []networkingv1.NetworkPolicyPeer {
	// pods too: some networks, Cilium for one, do not count them among addresses
	if c.NetworkPolicies.Egress == installation.Open {
		return []networkingv1.NetworkPolicyPeer{namespaces(), block("0.0.0.0/0", metadata.v4...),
			block("::/0", metadata.v6...)}
	}
	var peers []networkingv1.NetworkPolicyPeer
	for _, endpoint := range []string{c.S3.Endpoint, c.Tracing.Endpoint} {
		if ns := installation.InNamespace(endpoint, c.ClusterDomain); ns != "" {
			peers = append(peers, namespaces(ns))
		} else if a, ok := installation.Address(endpoint); ok {
			p, _ := a.Prefix(a.BitLen()) // its own length always fits
			peers = append(peers, block(p.String()))
		}
	}
	peers = append(peers, namespaces(c.NetworkPolicies.IngressNamespaces...))
	for _, cidr := range c.NetworkPolicies.EgressCIDRs {
		peers = append(peers, block(cidr))
	}
	return peers
}

// dns is the way to the cluster's DNS, whichever pods it has and also where a cache of the node
// answers. Policies see the pods' ports: OpenShift's listen on 5353.
func dns() networkingv1.NetworkPolicyEgressRule {
	rule := networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{namespaces(),
		block("169.254.20.10/32")}}
	for _, port := range []int{53, 5353} {
		for _, protocol := range []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
			n := intstr.FromInt(port)
			rule.Ports = append(rule.Ports, networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &n})
		}
	}
	return rule
}

// namespaces are all pods of the namespaces with these names, or without any, of all.
func namespaces(all ...string) networkingv1.NetworkPolicyPeer {
	selector := &metav1.LabelSelector{}
	if len(all) > 0 {
		selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: corev1.LabelMetadataName,
			Operator: metav1.LabelSelectorOpIn, Values: all}}
	}
	return networkingv1.NetworkPolicyPeer{NamespaceSelector: selector}
}

func block(cidr string, except ...string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}
}
