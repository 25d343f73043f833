package manifest

// GroupKind is a kind of another group.
type GroupKind struct{ Group, Kind string }

// Carried are the kinds of other groups that a module may carry, and whether they make pods. They
// are kinds that Kubernetes' role `edit` may write and that reach no further than their namespace.
// Left out on purpose: RBAC, quotas and NetworkPolicies, which are the operator's; Ingresses and
// the like, which take host names of the whole cluster; Endpoints, which lead anywhere. What a kind
// is that stands nowhere cannot be known without a cluster, so it may be cluster-wide.
var Carried = map[GroupKind]bool{
	{"", "ConfigMap"}:                          false,
	{"", "PersistentVolumeClaim"}:              false,
	{"", "Pod"}:                                true,
	{"", "ReplicationController"}:              true,
	{"", "Secret"}:                             false,
	{"", "Service"}:                            false,
	{"", "ServiceAccount"}:                     false,
	{"apps", "DaemonSet"}:                      true,
	{"apps", "Deployment"}:                     true,
	{"apps", "ReplicaSet"}:                     true,
	{"apps", "StatefulSet"}:                    true,
	{"autoscaling", "HorizontalPodAutoscaler"}: false,
	{"batch", "CronJob"}:                       true,
	{"batch", "Job"}:                           true,
	{"eventing.knative.dev", "Broker"}:         false,
	{"eventing.knative.dev", "Trigger"}:        false,
	{"policy", "PodDisruptionBudget"}:          false,
	{"serving.knative.dev", "Service"}:         true,
	{"sources.knative.dev", "PingSource"}:      false,
}
