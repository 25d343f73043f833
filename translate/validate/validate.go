// Package validate runs Knative's own defaults and rules over generated objects, offline, with the feature flags that Knative ships: what passes here, Knative's webhook accepts.
package validate

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	"knative.dev/pkg/apis"
	"knative.dev/serving/pkg/apis/config"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
)

// Object returns what Knative would refuse about an object; nil for kinds that are not Knative's. The object is not changed.
func Object(o runtime.Object) []string {
	ctx := shipped(context.Background())
	var s interface {
		apis.Defaultable
		apis.Validatable
	}
	switch x := o.(type) {
	case *servingv1.Service:
		s = x.DeepCopy()
	case *eventingv1.Broker:
		s = x.DeepCopy()
	case *eventingv1.Trigger:
		s = x.DeepCopy()
	default:
		return nil
	}
	s.SetDefaults(ctx)
	var problems []string
	// Warnings come as non-nil errors too; only errors stop an object.
	if err := s.Validate(ctx).Filter(apis.ErrorLevel); err != nil {
		for line := range strings.Lines(err.Error()) {
			problems = append(problems, strings.TrimSpace(line))
		}
	}
	return problems
}

// shipped is a context with the configuration that Knative has when nobody has changed it.
func shipped(ctx context.Context) context.Context {
	defaults, _ := config.NewDefaultsConfigFromMap(nil) // of nothing come the defaults
	features, _ := config.NewFeaturesConfigFromMap(nil)
	ctx = apis.WithinCreate(ctx)
	ctx = config.ToContext(ctx, &config.Config{Defaults: defaults, Features: features})
	// Eventing ships with delivery timeouts on; without its flags in the context our own Triggers would be refused.
	return feature.ToContext(ctx, feature.Flags{feature.DeliveryTimeout: feature.Enabled})
}
