// Package validate runs Knative's own defaults and rules over generated objects, offline, with the feature flags that Knative ships: what passes here, Knative's webhook accepts. Of Kubernetes' own kinds it
// checks what all objects have in common, by the API server's rules.
package validate

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	"knative.dev/eventing/pkg/apis/feature"
	sourcesv1 "knative.dev/eventing/pkg/apis/sources/v1"
	"knative.dev/pkg/apis"
	"knative.dev/serving/pkg/apis/config"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
)

// Rules checks the objects of a module. To check a Service takes Knative most of a millisecond, so those that differ only in what its rules do not look at are checked once. Safe for concurrent use.
type Rules struct{ services sync.Map }

// Problem is one thing that would be refused. Path is the field's in the object, as Knative writes it; "" is not known.
type Problem struct{ Path, Message string }

// Object returns what Kubernetes or Knative would refuse about an object. The object is not changed.
func (r *Rules) Object(o runtime.Object) []Problem {
	return append(kubernetes(o), r.knative(o)...)
}

func (r *Rules) knative(o runtime.Object) []Problem {
	switch x := o.(type) {
	case *servingv1.Service:
		s := essence(x)
		key, err := json.Marshal(s)
		if err != nil {
			return []Problem{{Message: err.Error()}}
		}
		if known, ok := r.services.Load(string(key)); ok {
			return known.([]Problem)
		}
		problems := check(s)
		r.services.Store(string(key), problems)
		return problems
	case *eventingv1.Broker:
		return check(x.DeepCopy())
	case *eventingv1.Trigger:
		return check(x.DeepCopy())
	case *sourcesv1.PingSource:
		return check(x.DeepCopy())
	default:
		return nil
	}
}

// essence is a copy of a Service without what Knative's rules do not look at: the values of labels, of arguments and of environment variables, and the name, which is a DNS label before it comes here.
func essence(s *servingv1.Service) *servingv1.Service {
	s = s.DeepCopy()
	if t := &s.Spec.Template.Spec; t.ServiceAccountName == s.Name {
		t.ServiceAccountName = "name"
	}
	s.Name = "name"
	for _, labels := range []map[string]string{s.Labels, s.Spec.Template.Labels} {
		for key := range labels {
			labels[key] = ""
		}
	}
	for i := range s.Spec.Template.Spec.Containers {
		c := &s.Spec.Template.Spec.Containers[i]
		clear(c.Args)
		for j := range c.Env {
			c.Env[j].Value = ""
		}
	}
	return s
}

func check(o interface {
	apis.Defaultable
	apis.Validatable
},
) []Problem {
	ctx := shipped()
	o.SetDefaults(ctx)
	var problems []Problem
	// Warnings come as non-nil errors too; only errors stop an object.
	if err := o.Validate(ctx).Filter(apis.ErrorLevel); err != nil {
		for _, e := range err.WrappedErrors() {
			p := Problem{Path: strings.Join(e.Paths, ", "), Message: e.Message}
			if p.Path != "" {
				p.Message = p.Path + ": " + e.Message
			}
			if e.Details != "" {
				p.Message += "; " + strings.ReplaceAll(e.Details, "\n", " ")
			}
			problems = append(problems, p)
		}
	}
	return problems
}

// shipped is a context with the configuration that Knative has when nobody has changed it; to read it takes longer than to check an object.
var shipped = sync.OnceValue(func() context.Context {
	defaults, _ := config.NewDefaultsConfigFromMap(nil) // of nothing come the defaults
	features, _ := config.NewFeaturesConfigFromMap(nil)
	ctx := apis.WithinCreate(context.Background())
	ctx = config.ToContext(ctx, &config.Config{Defaults: defaults, Features: features})
	// Eventing ships with delivery timeouts on; without its flags in the context our own Triggers would be refused.
	return feature.ToContext(ctx, feature.Flags{feature.DeliveryTimeout: feature.Enabled})
})
