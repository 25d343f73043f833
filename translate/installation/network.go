package installation

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// NetworkPolicies say what may talk to the pods of modules, and to what the users' containers may talk. They hold only where the cluster's network enforces NetworkPolicies.
type NetworkPolicies struct {
	// Enabled says whether a module gets any. Default true.
	Enabled bool `yaml:"enabled"`
	// IngressNamespaces are the namespaces whose pods may call components and gateways: that of Knative's activator and autoscaler, those of the ingress, and, where it scrapes the pods, that of Prometheus.
	// Default: knative-serving, kourier-system, istio-system, contour-external, contour-internal.
	IngressNamespaces []string `yaml:"ingressNamespaces"`
	// Egress of the pods with users' containers, components and stages. Default Open.
	Egress Egress `yaml:"egress"`
	// EgressCIDRs are what Restricted pods may reach besides, such as 10.0.0.0/8: the S3 server where it is no pod, the users' databases.
	EgressCIDRs []string `yaml:"egressCIDRs"`
}

// Egress says where connections may go.
type Egress string

// Open is everywhere but to the link-local addresses and those of clouds' metadata servers, which give whoever asks the rights of the node. Restricted is DNS, the S3 server, the namespaces of
// IngressNamespaces (so that one component can call another), and EgressCIDRs.
const (
	Open             Egress = "Open"
	RestrictedEgress Egress = "Restricted"
)

// Namespace of a Service that the S3 endpoint names, "" for an endpoint that is no Service of the cluster.
func (s S3) Namespace(clusterDomain string) string {
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		return ""
	}
	host := strings.TrimSuffix(u.Hostname(), "."+clusterDomain)
	if parts := strings.Split(host, "."); len(parts) == 3 && parts[2] == "svc" {
		return parts[1]
	}
	return ""
}

// Address of an S3 endpoint that names one, and reports whether it does.
func (s S3) Address() (netip.Addr, bool) {
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return a, err == nil && a.Zone() == ""
}

func (n NetworkPolicies) validate(s3 S3, clusterDomain string) error {
	var errs []error
	if n.Egress != Open && n.Egress != RestrictedEgress {
		errs = append(errs, fmt.Errorf("networkPolicies.egress: %q is neither Open nor Restricted", n.Egress))
	}
	if n.Enabled && !slices.Contains(n.IngressNamespaces, servingNamespace) {
		errs = append(errs, fmt.Errorf("networkPolicies.ingressNamespaces: %s is missing, so nothing could wake a component up", servingNamespace))
	}
	for _, ns := range n.IngressNamespaces {
		if said := validation.IsDNS1123Label(ns); said != nil {
			errs = append(errs, fmt.Errorf("networkPolicies.ingressNamespaces: %q is not the name of a namespace", ns))
		}
	}
	for _, c := range n.EgressCIDRs {
		if p, err := netip.ParsePrefix(c); err != nil || p != p.Masked() {
			errs = append(errs, fmt.Errorf("networkPolicies.egressCIDRs: %q is not a range such as 10.0.0.0/8 or 192.0.2.7/32", c))
		}
	}
	if _, ok := s3.Address(); n.Enabled && n.Egress == RestrictedEgress && !ok && s3.Namespace(clusterDomain) == "" && len(n.EgressCIDRs) == 0 {
		errs = append(errs, errors.New("networkPolicies.egressCIDRs: with egress Restricted, name the addresses of s3.endpoint here: a NetworkPolicy knows no host names"))
	}
	return errors.Join(errs...)
}

// servingNamespace is Knative Serving's.
const servingNamespace = "knative-serving"
