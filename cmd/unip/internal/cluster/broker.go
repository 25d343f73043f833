package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/unip-knative/unip/eventing/brokers"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/translate/installation"
)

const eventingNamespace = "knative-eventing"

var brokerKind = generated[4]

// brokerControllers are the Deployments that make Brokers of a class.
var brokerControllers = map[string]string{
	brokers.MTChannelBased:  "mt-broker-controller",
	brokers.Kafka:           "kafka-controller",
	brokers.KafkaNamespaced: "kafka-controller",
	brokers.RabbitMQ:        "rabbitmq-broker-controller",
}

// errOtherBroker is of Brokers that were made as the installation no longer wants them.
var errOtherBroker = errors.New("made otherwise than broker in unip.yaml says")

// checkBroker looks at what carries the modules' events, and says what it keeps.
func (c *Cluster) checkBroker(ctx context.Context, b installation.Broker) (string, error) {
	if name, listed := brokerControllers[b.Class]; listed {
		if _, err := c.checkRunning(ctx, nil, eventingNamespace, name); err != nil {
			return "", err
		}
	}
	channel := ""
	switch {
	case b.Class == brokers.MTChannelBased:
		var err error
		if channel, err = c.brokerChannel(ctx, b.Config); err != nil {
			return "", err
		}
	case b.Config.Given():
		if _, err := c.getExisting(ctx, kindOf(b.Config), b.Config.Namespace, b.Config.Name); err != nil {
			return "", err
		}
	}
	all, err := c.list(ctx, "", brokerKind, client.MatchingLabels{label.ManagedBy: label.Unip})
	if err != nil {
		return "", err
	}
	var other []string
	for _, o := range all {
		if differs := brokerDiffers(o, b.Class, b.Config); differs != "" {
			other = append(other, o.GetNamespace()+"/"+o.GetName()+" has "+differs)
		}
	}
	if len(other) > 0 {
		return "", fmt.Errorf("%d of %d are %w: %s", len(other), len(all), errOtherBroker, strings.Join(other, "; "))
	}
	return b.Class + "; " + brokers.Of(b.Class, channel).Says, nil
}

func kindOf(c installation.BrokerConfig) schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(c.APIVersion, c.Kind)
}

// brokerChannel is the kind of channel of Brokers of class MTChannelBasedBroker, by the ConfigMap that
// they take their settings from. Without one of unip's own it is Knative's default.
func (c *Cluster) brokerChannel(ctx context.Context, from installation.BrokerConfig) (string, error) {
	if !from.Given() {
		o, err := c.get(ctx, newObject(configMapKind, eventingNamespace, "config-br-defaults"))
		if err != nil || o == nil {
			return "", err // Knative has it; what cannot be seen is not known
		}
		text, _, _ := unstructured.NestedString(o.Object, "data", "default-br-config")
		var defaults struct {
			ClusterDefault installation.BrokerConfig `json:"clusterDefault"`
		}
		if err := yaml.Unmarshal([]byte(text), &defaults); err != nil {
			return "", fmt.Errorf("ConfigMap %s/config-br-defaults: %w", eventingNamespace, err)
		}
		if from = defaults.ClusterDefault; !from.Given() {
			return "", nil
		}
	}
	o, err := c.getExisting(ctx, kindOf(from), from.Namespace, from.Name)
	if err != nil {
		return "", err
	}
	data, _, _ := unstructured.NestedStringMap(o.Object, "data")
	var template struct {
		Kind string `json:"kind"`
	}
	err = yaml.Unmarshal([]byte(cmp.Or(data["channel-template-spec"], data["channelTemplateSpec"])), &template)
	if err == nil && template.Kind == "" {
		err = errors.New("no kind")
	}
	if err != nil {
		return "", fmt.Errorf("%s: channel-template-spec names no channel: %w", from, err)
	}
	return template.Kind, nil
}

// brokerDiffers says which Broker there is, where it is not of this class and with these settings.
// Without settings those that Knative has written are right, and those that unip has written before
// are not.
func brokerDiffers(live *Object, class string, config installation.BrokerConfig) string {
	if has := live.GetAnnotations()[brokers.ClassAnnotation]; has != class {
		return "class " + has
	}
	m, _, _ := unstructured.NestedStringMap(live.Object, "spec", "config")
	has := installation.BrokerConfig{APIVersion: m["apiVersion"], Kind: m["kind"], Name: m["name"],
		Namespace: m["namespace"]}
	if has == config || !config.Given() && !ownsConfig(live) {
		return ""
	}
	if !has.Given() {
		return "no config"
	}
	return "config " + has.String()
}

// ownsConfig reports a Broker whose settings unip has written.
func ownsConfig(o *Object) bool {
	for _, f := range o.GetManagedFields() {
		if f.Manager == Manager && f.FieldsV1 != nil && strings.Contains(string(f.FieldsV1.Raw), `"f:config"`) {
			return true
		}
	}
	return false
}

// refuseOtherBroker finds a Broker that the objects would change in what Knative lets nobody change,
// before anything is written.
func (c *Cluster) refuseOtherBroker(ctx context.Context, objects []*Object) error {
	for _, o := range objects {
		if o.GroupVersionKind() != brokerKind {
			continue
		}
		live, err := c.get(ctx, o)
		if err != nil || live == nil || live.GetDeletionTimestamp() != nil {
			return err
		}
		class := o.GetAnnotations()[brokers.ClassAnnotation]
		m, _, _ := unstructured.NestedStringMap(o.Object, "spec", "config")
		config := installation.BrokerConfig{APIVersion: m["apiVersion"], Kind: m["kind"], Name: m["name"],
			Namespace: m["namespace"]}
		if has := brokerDiffers(live, class, config); class != "" && has != "" {
			wanted := "class " + class
			if config.Given() {
				wanted += ", config " + config.String()
			}
			return fmt.Errorf("%s has %s, and the installation now wants %s: Knative changes neither on a Broker that is "+
				"there. `kubectl -n %s delete broker %s`, and apply again: the events that it holds go with it. "+
				"unip's own runs go on without them, Triggers of yours miss them", Name(o), has, wanted,
				o.GetNamespace(), o.GetName())
		}
	}
	return nil
}
