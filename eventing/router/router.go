// Package router is what the router of one host for all modules, the gateways behind it and the
// translator agree on.
package router

import "github.com/unip-knative/unip/eventing/names"

// Name is that of the router: its Deployment, its account, and the Service by which an ingress
// reaches it.
const Name = "unip-router"

// PodsHost is the host of the Service whose addresses are the router's pods. By them a gateway knows
// calls that come through the router.
func PodsHost(clusterDomain string) string {
	return Name + "-pods." + names.SystemNamespace + ".svc." + clusterDomain
}

// ClientHeader tells a gateway the address of who has called the router, "" where it cannot be told.
// From anybody else it is a claim.
const ClientHeader = "Unip-Client-Address"

// Annotations of the Knative Service of an MLComponent: the paths of its published APIs, separated by
// blanks. The router wakes the component when one of them is called. Those of OpenPaths want no
// login.
const (
	Paths     = "knative.unified-platform.cs.hse.ru/paths"
	OpenPaths = "knative.unified-platform.cs.hse.ru/open-paths"
)

// VisibilityLabel with ClusterLocal keeps a Knative Service inside the cluster: such a gateway is not
// passed calls of the world.
const (
	VisibilityLabel = "networking.knative.dev/visibility"
	ClusterLocal    = "cluster-local"
)
