package resources

import (
	"strconv"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingduck "knative.dev/eventing/pkg/apis/duck/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/brokers"
	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/module"
)

// MakePipeline makes the custom resource of a pipeline; spec has been decided.
func MakePipeline(m Module, name string, spec runtimev1.PipelineSpec) *runtimev1.Pipeline {
	return &runtimev1.Pipeline{
		TypeMeta:   metav1.TypeMeta{APIVersion: runtimev1.GroupVersion.String(), Kind: "Pipeline"},
		ObjectMeta: m.meta(name, name, "pipeline"),
		Spec:       spec,
	}
}

// receiver is a path below the Pipeline's own address, at which the controller takes events. No
// namespace and no URL stands here, so that who moves or renames the objects of a module has not to
// look into strings.
func receiver(pipeline, path string) *duckv1.Destination {
	return &duckv1.Destination{
		Ref: &duckv1.KReference{APIVersion: runtimev1.GroupVersion.String(), Kind: "Pipeline", Name: pipeline},
		URI: &apis.URL{Path: path},
	}
}

// delivery is always whole: Knative takes a part of one as "no retries". The times fit the
// controller's, which answers at once; what it could not take goes to its dead letters, where it
// looks at what the event named.
func delivery(sink *duckv1.Destination) *eventingduck.DeliverySpec {
	retry, policy := int32(5), eventingduck.BackoffPolicyExponential
	delay, timeout := "PT0.2S", "PT10S"
	return &eventingduck.DeliverySpec{Retry: &retry, BackoffPolicy: &policy, BackoffDelay: &delay, Timeout: &timeout,
		DeadLetterSink: sink}
}

// MakeBroker makes the Broker of a module's events. It has no dead letters: they would be of Triggers
// that others have made, and on a channel that does not pass them on, as NATS JetStream's, a Trigger
// without a sink of its own would never be ready.
func MakeBroker(m Module) *eventingv1.Broker {
	b := &eventingv1.Broker{
		TypeMeta:   metav1.TypeMeta{APIVersion: "eventing.knative.dev/v1", Kind: "Broker"},
		ObjectMeta: m.meta(names.Broker, m.Namespace, "module"),
		Spec:       eventingv1.BrokerSpec{Delivery: delivery(nil)},
	}
	b.Annotations = map[string]string{brokers.ClassAnnotation: m.Config.Broker.Class}
	if c := m.Config.Broker.Config; c.Given() {
		b.Spec.Config = &duckv1.KReference{APIVersion: c.APIVersion, Kind: c.Kind, Namespace: c.Namespace, Name: c.Name}
	}
	return b
}

func (m Module) trigger(name, pipeline, path string, filter ...eventingv1.SubscriptionsAPIFilter) *eventingv1.Trigger {
	return &eventingv1.Trigger{
		TypeMeta:   metav1.TypeMeta{APIVersion: "eventing.knative.dev/v1", Kind: "Trigger"},
		ObjectMeta: m.meta(name, pipeline, "pipeline"),
		Spec: eventingv1.TriggerSpec{Broker: names.Broker, Filters: filter, Subscriber: *receiver(pipeline, path),
			Delivery: delivery(receiver(pipeline, "dead-letters"))},
	}
}

// MakeChainTrigger makes the one Trigger by which a pipeline's runs move on and, with a schedule,
// begin: each event is filtered once per Trigger.
func MakeChainTrigger(m Module, pipeline string, scheduled bool) *eventingv1.Trigger {
	types := []string{events.RunRequested, events.StageSucceeded, events.StageFailed}
	if scheduled {
		types = append(types, events.Ping)
	}
	var any []eventingv1.SubscriptionsAPIFilter
	for _, t := range types {
		any = append(any, eventingv1.SubscriptionsAPIFilter{Exact: map[string]string{"type": t, "pipeline": pipeline}})
	}
	return m.trigger(names.ChainTrigger(pipeline), pipeline, "events", eventingv1.SubscriptionsAPIFilter{Any: any})
}

// MakeUploadTrigger makes the Trigger of one on-upload rule.
func MakeUploadTrigger(m Module, pipeline string, index int, rule runtimev1.UploadRule) *eventingv1.Trigger {
	filters := []eventingv1.SubscriptionsAPIFilter{{Exact: map[string]string{"type": events.ObjectCreated,
		"box": rule.Box}}}
	if rule.Prefix != "" {
		filters = append(filters, eventingv1.SubscriptionsAPIFilter{Prefix: map[string]string{"subject": rule.Prefix}})
	}
	if rule.Suffix != "" {
		filters = append(filters, eventingv1.SubscriptionsAPIFilter{Suffix: map[string]string{"subject": rule.Suffix}})
	}
	return m.trigger(names.UploadTrigger(pipeline, index), pipeline, "uploads/"+strconv.Itoa(index),
		eventingv1.SubscriptionsAPIFilter{All: filters})
}

// MakePingSource makes what tells the module's Broker that a pipeline is due. The event says no
// more than its name; when a run starts is decided by the Pipeline's own schedule.
func MakePingSource(m Module, pipeline string, spec runtimev1.PipelineSpec) *sourcesv1.PingSource {
	return &sourcesv1.PingSource{
		TypeMeta:   metav1.TypeMeta{APIVersion: "sources.knative.dev/v1", Kind: "PingSource"},
		ObjectMeta: m.meta(names.SchedulePing(pipeline), pipeline, "pipeline"),
		Spec: sourcesv1.PingSourceSpec{
			SourceSpec: duckv1.SourceSpec{
				Sink: duckv1.Destination{Ref: &duckv1.KReference{APIVersion: "eventing.knative.dev/v1",
					Kind: "Broker", Name: names.Broker}},
				CloudEventOverrides: &duckv1.CloudEventOverrides{Extensions: map[string]string{"pipeline": pipeline}},
			},
			Schedule: spec.Schedule,
			Timezone: spec.TimeZone,
		},
	}
}

// MakeGatewayRole makes what a gateway may do in its namespace. One that serves runs makes, looks at
// and cancels them, and reads the logs of their pods; one of boxes with developers asks for links.
func MakeGatewayRole(m Module, storage module.Storage) (*rbacv1.Role, *rbacv1.RoleBinding) {
	role := &rbacv1.Role{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role"},
		ObjectMeta: m.meta(names.Gateway, names.Gateway, "gateway"),
	}
	if len(storage.Pipelines) > 0 {
		role.Rules = []rbacv1.PolicyRule{
			{APIGroups: []string{runtimev1.GroupVersion.Group}, Resources: []string{"pipelineruns"},
				Verbs: []string{"get", "list", "watch", "create", "patch"}},
			{APIGroups: []string{runtimev1.GroupVersion.Group}, Resources: []string{"pipelines"},
				Verbs: []string{"get", "list"}},
			{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}},
			{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}},
		}
	}
	if len(storage.Developers) > 0 {
		role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{runtimev1.GroupVersion.Group},
			Resources: []string{"boxputs"}, Verbs: []string{"get", "create", "delete"}})
	}
	return role, &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"},
		ObjectMeta: m.meta(names.Gateway, names.Gateway, "gateway"),
		RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: names.Gateway},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: names.Gateway, Namespace: m.Namespace}},
	}
}
