package installation

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// NetworkPolicies say what may talk to the pods of modules, and to what the users' containers may
// talk. They hold only where the cluster's network enforces NetworkPolicies.
type NetworkPolicies struct {
	// Enabled says whether a module gets any. Default true.
	Enabled bool `yaml:"enabled"`
	// IngressNamespaces are the namespaces whose pods may call components and gateways: that of
	// Knative's activator and autoscaler, those of the ingress, and, where it scrapes the pods,
	// that of Prometheus. Default: knative-serving, kourier-system, istio-system, contour-external,
	// contour-internal.
	IngressNamespaces []string `yaml:"ingressNamespaces"`
	// Egress of the pods with users' containers, components and stages. Default Open.
	Egress Egress `yaml:"egress"`
	// EgressCIDRs are what Restricted pods may reach besides, such as 10.0.0.0/8: the S3 server
	// where it is no pod, the users' databases.
	EgressCIDRs []string `yaml:"egressCIDRs"`
}

// Egress says where connections may go.
type Egress string

// Open is everywhere but to the link-local addresses and those of clouds' metadata servers, which
// give whoever asks the rights of the node. Restricted is DNS, the S3 server, the collector of
// spans, the namespaces of IngressNamespaces (so that one component can call another), and
// EgressCIDRs.
const (
	Open             Egress = "Open"
	RestrictedEgress Egress = "Restricted"
)

// InNamespace is the namespace of the Service that a URL names, "" for a URL that is of no Service
// of the cluster.
func InNamespace(endpoint, clusterDomain string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	host := strings.TrimSuffix(u.Hostname(), "."+clusterDomain)
	if parts := strings.Split(host, "."); len(parts) == 3 && parts[2] == "svc" {
		return parts[1]
	}
	return ""
}

// Address of a URL that names one, and whether it does.
func Address(endpoint string) (netip.Addr, bool) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return a, err == nil && a.Zone() == ""
}

func (n NetworkPolicies) validate(endpoints map[string]string, clusterDomain string) error {
	var errs []error
	if n.Egress != Open && n.Egress != RestrictedEgress {
		errs = append(errs, fmt.Errorf("networkPolicies.egress: %q is neither Open nor Restricted", n.Egress))
	}
	if n.Enabled && !slices.Contains(n.IngressNamespaces, servingNamespace) {
		errs = append(errs, fmt.Errorf(
			"networkPolicies.ingressNamespaces: %s is missing, so nothing could wake a component up", servingNamespace))
	}
	for _, ns := range n.IngressNamespaces {
		if said := validation.IsDNS1123Label(ns); said != nil {
			errs = append(errs, fmt.Errorf("networkPolicies.ingressNamespaces: %q is not the name of a namespace", ns))
		}
	}
	for _, c := range n.EgressCIDRs {
		if p, err := netip.ParsePrefix(c); err != nil || p != p.Masked() {
			errs = append(errs, fmt.Errorf(
				"networkPolicies.egressCIDRs: %q is not a range such as 10.0.0.0/8 or 192.0.2.7/32", c))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(endpoints)) {
		if _, ok := Address(endpoints[key]); n.Enabled && n.Egress == RestrictedEgress && !ok &&
			InNamespace(endpoints[key], clusterDomain) == "" && len(n.EgressCIDRs) == 0 {
			errs = append(errs, fmt.Errorf(
				"networkPolicies.egressCIDRs: with egress Restricted, name the addresses of %s here: a NetworkPolicy knows no host names", key))
		}
	}
	return errors.Join(errs...)
}

// servingNamespace is Knative Serving's.
const servingNamespace = "knative-serving"
